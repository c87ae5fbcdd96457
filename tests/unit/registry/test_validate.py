"""Which adapter folders are refused, and that a real one is not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lloco_core.config import FinetuneConfig
from lloco_core.errors import RegistryError
from lloco_core.registry.validate import validate_adapter
from tests.unit.registry.adapters import save_tiny_adapter


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    save_tiny_adapter(folder, FinetuneConfig(r=2))
    return folder


@pytest.fixture
def adapter(saved, tmp_path):
    """A copy of a good adapter, to be spoilt."""
    return shutil.copytree(saved, tmp_path / "copy")


def change_config(folder, **values):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_tensors(folder, change):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refused(folder):
    with pytest.raises(RegistryError) as caught:
        validate_adapter(folder)
    return str(caught.value)


KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def test_a_real_adapter_is_accepted(adapter):
    assert len(load_file(adapter / "adapter_model.safetensors")) == 8  # one layer: q, k, v, o with A and B
    validate_adapter(adapter)


def test_an_adapter_saved_by_peft_alone_is_accepted(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1
    )
    model = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=16, target_modules=["q_proj", "v_proj"]))
    model.save_pretrained(tmp_path)
    validate_adapter(tmp_path)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file(adapter, name):
    (adapter / name).unlink()
    assert f"{name} is missing" in refused(adapter)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"use_dora": True}, ["use_dora=True", "False"]),
        ({"bias": "all"}, ["bias='all'", "'none'"]),
        ({"peft_type": "IA3"}, ["peft_type='IA3'", "'LORA'"]),
        ({"r": 32}, ["rank 32", "1..16"]),
        ({"r": 0}, ["rank 0", "1..16"]),
        ({"r": None}, ["rank None", "1..16"]),
        ({"target_modules": ".*q_proj"}, ["'.*q_proj'", "explicit list"]),
        ({"target_modules": None}, ["target_modules is None", "explicit list"]),
        ({"target_modules": ["q_proj", "embed_tokens"]}, ["embed_tokens", "attention projections"]),
        ({"target_modules": ["lm_head"]}, ["lm_head", "attention projections"]),
    ],
)
def test_a_configuration_servers_refuse(adapter, values, parts):
    change_config(adapter, **values)
    message = refused(adapter)
    assert all(part in message for part in parts), message


def test_a_configuration_that_is_no_json(adapter):
    (adapter / "adapter_config.json").write_text('{"r": ')
    assert "adapter_config.json is not JSON" in refused(adapter)


@pytest.mark.parametrize(
    ("tensor", "parts"),
    [
        (torch.zeros(0), ["shape (0,)", "rank 2", "gathered under ZeRO-3"]),
        (torch.zeros(3, 16), ["shape (3, 16)", "rank 2"]),
        (torch.zeros(2, 0), ["shape (2, 0)"]),
        (torch.full((2, 16), float("nan")), ["not finite"]),
        (torch.full((2, 16), float("inf")), ["not finite"]),
    ],
)
def test_a_tensor_that_is_not_whole_or_finite(adapter, tensor, parts):
    change_tensors(adapter, lambda tensors: tensors.update({KEY: tensor}))
    message = refused(adapter)
    assert KEY in message
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    "key",
    [
        "base_model.model.model.layers.0.mlp.gate_proj.lora_A.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.lm_head.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
    ],
)
def test_an_unexpected_key(adapter, key):
    change_tensors(adapter, lambda tensors: tensors.update({key: torch.zeros(2, 16)}))
    assert f"unexpected key {key}" in refused(adapter)


def test_a_weights_file_that_is_cut_off_or_empty(adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "is damaged" in refused(adapter)
    save_file({}, path)
    assert "holds no tensors" in refused(adapter)
