from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from lloco_core.errors import CheckpointError
from lloco_core.finetune.collate import collate
from lloco_core.finetune.lora import attach_lora, check_weights, save_adapter
from lloco_core.finetune.soft_prompt import SoftPromptModel
from lloco_core.registry.validate import validate_adapter


def trained_model(**changes: object) -> PeftModel:
    """LoRA with weights that do something, as after training."""
    model = attach_lora(tiny.tiny_model(), tiny.recipe(**changes))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model.eval()


def test_only_lora_is_trainable() -> None:
    model = attach_lora(tiny.tiny_model(), tiny.recipe())
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(names) == 2 * 4 * 2
    assert all(".lora_" in name and ".self_attn." in name for name in names)


def test_initialisation_depends_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = attach_lora(tiny.tiny_model(seed=0), tiny.recipe())
    base = tiny.tiny_model(seed=0)
    torch.manual_seed(5)
    second = attach_lora(base, tiny.recipe())
    assert torch.equal(torch.get_rng_state(), before), "attaching LoRA moved the caller's generator"
    other = attach_lora(tiny.tiny_model(seed=0), tiny.recipe(seed=9))
    weights = [dict(model.named_parameters()) for model in (first, second, other)]
    name = next(name for name in weights[0] if "lora_A" in name)
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])


def test_recomputing_activations_changes_no_gradient() -> None:
    batch = collate([tiny.dataset()[0], tiny.dataset()[5]])
    gradients = []
    for recompute in (False, True):
        model = SoftPromptModel(trained_model(gradient_checkpointing=recompute)).train()
        assert model.model.get_base_model().is_gradient_checkpointing == recompute
        model(batch).backward()
        gradients.append([parameter.grad for parameter in model.parameters() if parameter.requires_grad])
    assert gradients[0][0].abs().sum() > 0
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_saved_folder_is_what_servers_load(tmp_path: Path) -> None:
    save_adapter(trained_model(r=4, alpha=8), tmp_path / "a", "meta/Some-Model", max_length=4096)
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    expected = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "bias": "none",
        "target_modules": ["k_proj", "o_proj", "q_proj", "v_proj"],
        "base_model_name_or_path": "meta/Some-Model",
        "use_dora": False,
        "modules_to_save": None,
        "init_lora_weights": True,
        "max_length": 4096,
    }
    assert {name: config[name] for name in expected} == expected
    names = {
        f"base_model.model.model.layers.{layer}.self_attn.{projection}_proj.lora_{side}.weight"
        for layer in range(2)
        for projection in "qkvo"
        for side in "AB"
    }
    assert load_file(tmp_path / "a" / "adapter_model.safetensors").keys() == names
    validate_adapter(tmp_path / "a")


def test_max_length_is_left_out_unless_given(tmp_path: Path) -> None:
    save_adapter(trained_model(), tmp_path, "base")
    assert "max_length" not in json.loads((tmp_path / "adapter_config.json").read_text())


def test_reloaded_adapter_is_bit_equal(tmp_path: Path) -> None:
    model = trained_model()
    save_adapter(model, tmp_path, "base")
    reloaded = PeftModel.from_pretrained(tiny.tiny_model(), tmp_path).eval()
    batch = collate([tiny.dataset()[3]])
    for name, tensor in reloaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert SoftPromptModel(reloaded)(batch).item() == SoftPromptModel(model)(batch).item()


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    shapes = {"a": (2, 3)}
    save_file({"a": torch.zeros(0)}, path)
    with pytest.raises(CheckpointError, match=r"a has shape \(0,\), expected \(2, 3\)"):
        check_weights(path, shapes)
    save_file({"a": torch.full((2, 3), float("nan"))}, path)
    with pytest.raises(CheckpointError, match="not finite"):
        check_weights(path, shapes)
    save_file({"b": torch.zeros(2, 3)}, path)
    with pytest.raises(CheckpointError, match=r"lacks \['a'\] and has unexpected \['b'\]"):
        check_weights(path, shapes)
    save_file({"a": torch.zeros(2, 3)}, path)
    check_weights(path, shapes)


def test_nan_weights_are_not_saved_silently(tmp_path: Path) -> None:
    model = trained_model()
    with torch.no_grad():
        next(parameter for parameter in model.parameters() if parameter.requires_grad)[0, 0] = float("inf")
    with pytest.raises(CheckpointError, match="learning_rate"):
        save_adapter(model, tmp_path, "base")
