"""Losses and gradients of the ICAE objectives equal a derivation from stock transformers and peft; what is trained can be loaded."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from lloco_core.compressor import load_encoder
from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.icae import IcaeObjective, IcaeObjectiveConfig
from lloco_core.encoder_training.icae_module import IcaeModule, published_tensors, save_icae
from lloco_core.encoder_training.objective import Loss
from lloco_core.errors import CheckpointError, ConfigurationError
from tests.unit.compressor.tiny_checkpoints import VOCABULARY, document, random_model
from tests.unit.compressor.tiny_icae import ALPHA, MEMORY, RANK, adapted_model, write_base
from tests.unit.compressor.tiny_icae import published_tensors as random_tensors

TOLERANCE = 1e-4
MEMORY_KEY = "memory_token_embed.weight"
END, SEGMENT = 2, 20
CONFIG = IcaeObjectiveConfig(end_token=END, segment_length=SEGMENT, ae_weight=1.0, lm_weight=2.0, ft_weight=0.5, logits_chunk=17)

pytestmark = pytest.mark.usefixtures("one_thread")


def module_on(base_name: str, dtype: torch.dtype = torch.float32, **options: object) -> IcaeModule:
    base = random_model(base_name, attn_implementation="sdpa").to(dtype)
    module = IcaeModule(base, MEMORY, RANK, ALPHA, **options)
    published = published_tensors(module)
    for key, tensor in random_tensors(base).items():
        published[key].data.copy_(tensor)
    return module


def batch(n_rows: int = 3, n_tokens: int = 90) -> Batch:
    """Three questions: two after the second segment of the first and last row, one after everything."""
    text_BT = torch.tensor([document(n_tokens, seed) for seed in range(n_rows)])
    questions = [(0, 25, 5, 3), (n_rows - 1, n_tokens, 2, 6), (n_rows - 1, 36, 9, 1)]
    answers = [
        Answer(row, after, torch.tensor(document(n_prompt, 7)), torch.tensor([*document(n_answer, 8), END]))
        for row, after, n_prompt, n_answer in questions
    ]
    return Batch(text_BT, answers)


class Derivation:
    """Section 3 of the method on stock peft: the adapter is switched off for the decoder."""

    def __init__(self, base_name: str) -> None:
        base = random_model(base_name)
        tensors = random_tensors(base)
        self.peft: PeftModel = adapted_model(base, tensors)
        self.memory_CH = torch.nn.Parameter(tensors[MEMORY_KEY].clone())

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return self.peft.get_base_model().model.embed_tokens(ids)

    def slots(self, ids_T: torch.Tensor) -> list[torch.Tensor]:
        size = math.ceil(len(ids_T) / math.ceil(len(ids_T) / SEGMENT))
        decoder = self.peft.get_base_model().model
        inputs = [torch.cat([self.embed(segment), self.memory_CH[:MEMORY]]) for segment in ids_T.split(size)]
        return [decoder(inputs_embeds=x[None]).last_hidden_state[0, -MEMORY:] for x in inputs]

    def summed_loss(self, front_PH: torch.Tensor, ids: torch.Tensor, n_given: int) -> torch.Tensor:
        """Over `ids` behind their first `n_given`, by the model's own loss."""
        labels = torch.cat([torch.full((len(front_PH) + n_given,), -100), ids[n_given:]])
        with self.peft.disable_adapter():
            found = self.peft(inputs_embeds=torch.cat([front_PH, self.embed(ids)])[None], labels=labels[None])
        return found.loss * (len(ids) - n_given)

    def losses(self, rows: Batch) -> dict[str, torch.Tensor]:
        ae, lm, ft = [], [], []
        n_context = rows.text_BT.shape[1] // 2
        for row in rows.text_BT:
            context, rest = row[:n_context], row[n_context:]
            slots = torch.cat(self.slots(context))
            ae.append(self.summed_loss(torch.cat([slots, self.memory_CH[MEMORY : MEMORY + 1]]), torch.tensor([*context, END]), 0))
            lm.append(self.summed_loss(slots, rest, 8))
        for row, after, prompt, answer in rows.answers:
            segments, ids = self.slots(rows.text_BT[row]), rows.text_BT[row]
            size = math.ceil(len(ids) / len(segments))
            seen = segments[: max(1, math.ceil(after / size))]
            ft.append(self.summed_loss(torch.cat([*seen, self.memory_CH[MEMORY + 2 :]]), torch.cat([prompt, answer]), len(prompt)))
        n_rows, n_tokens = rows.text_BT.shape
        counts = {"ae": n_rows * (n_context + 1), "lm": n_rows * (n_tokens - n_context - 8), "ft": sum(len(a.answer) for a in rows.answers)}
        return {name: sum(losses) / counts[name] for name, losses in (("ae", ae), ("lm", lm), ("ft", ft)) if losses}


def trained(module: IcaeModule) -> list[str]:
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


def backward(losses: Iterator[Loss]) -> dict[str, Loss]:
    """As a training loop does it: one loss after the other."""
    found = {}
    for loss in losses:
        (loss.mean * loss.weight).backward()
        found[loss.name] = loss
    return found


@pytest.mark.parametrize("base", ["llama_gqa", "mistral_window", "qwen2"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
def test_losses_and_gradients(base: str, checkpointing: bool) -> None:
    module, right = module_on(base, segment_checkpointing=checkpointing), Derivation(base)
    found = backward(IcaeObjective(CONFIG).losses(module, batch()))
    expected = right.losses(batch())
    assert list(found) == ["ae", "lm", "ft"]
    assert {name: loss.n_tokens for name, loss in found.items()} == {"ae": 3 * 46, "lm": 3 * 37, "ft": 13}
    for name, loss in found.items():
        assert abs(loss.mean.item() - expected[name].item()) < TOLERANCE, name
    (expected["ae"] * 1 / 3.5 + expected["lm"] * 2 / 3.5 + expected["ft"] * 0.5 / 3.5).backward()
    gradients = {f"icae.{name}": parameter.grad for name, parameter in right.peft.named_parameters() if "lora_" in name}
    gradients[MEMORY_KEY] = right.memory_CH.grad
    ours = published_tensors(module)
    assert ours.keys() == gradients.keys()
    for key, gradient in gradients.items():
        assert gradient.abs().max() > 1e-3, key  # something to compare
        assert (ours[key].grad - gradient).abs().max() < TOLERANCE, key
    assert ours[MEMORY_KEY].grad[MEMORY + 1].abs().max() == 0  # the token LM is read by no objective


def test_only_adapter_and_memory_are_trained() -> None:
    module = module_on("llama_gqa")
    assert {name.rpartition("lora_")[1] or name for name in trained(module)} == {"lora_", MEMORY_KEY}
    assert set(module.state_dict()) == set(trained(module))
    before = {name: parameter.detach().clone() for name, parameter in module.base.named_parameters()}
    optimizer = torch.optim.AdamW([parameter for parameter in module.parameters() if parameter.requires_grad], lr=3e-3)
    curve = []
    for _ in range(12):
        found = backward(IcaeObjective(CONFIG).losses(module, batch()))
        curve.append({name: loss.mean.item() for name, loss in found.items()})
        optimizer.step()
        optimizer.zero_grad()
    assert all(curve[-1][name] < 0.97 * curve[0][name] for name in ("ae", "lm", "ft"))
    assert all(torch.equal(parameter, before[name]) for name, parameter in module.base.named_parameters())


@pytest.mark.parametrize("base", ["llama_tied", "mistral_window", "qwen3"])
def test_what_was_trained_encodes_the_same_when_loaded(tmp_path: Path, base: str) -> None:
    module = module_on(base)
    backward(IcaeObjective(CONFIG).losses(module, batch()))
    torch.optim.SGD([parameter for parameter in module.parameters() if parameter.requires_grad], lr=0.1).step()
    write_base(tmp_path / "exact" / "base", module.base)
    save_icae(module, tmp_path / "exact", "base", SEGMENT, lora_dtype=torch.float32)
    encoder = load_encoder(str(tmp_path / "exact"))
    assert encoder.segment_length == SEGMENT
    text_BT = torch.tensor([document(50)])
    with torch.no_grad():
        slots = module.read(text_BT, encoder.segmentation.bounds(50))[0]
    (found,) = encoder.encode(text_BT.tolist())
    assert (found - slots).abs().max() < TOLERANCE
    assert (encoder.model(text_BT).logits - module.base(text_BT).logits).abs().max() < TOLERANCE

    save_icae(module, tmp_path / "published", str(tmp_path / "exact" / "base"), SEGMENT)
    stored = load_file(tmp_path / "published" / "icae.safetensors")
    assert {str(tensor.dtype) for key, tensor in stored.items() if "lora" in key} == {"torch.bfloat16"}
    assert torch.equal(stored[MEMORY_KEY], module.memory_token_embed.weight)
    (rounded,) = load_encoder(str(tmp_path / "published")).encode(text_BT.tolist())
    assert torch.cosine_similarity(rounded, slots, dim=-1).min() > 0.999


def test_nothing_half_is_saved(tmp_path: Path) -> None:
    module = module_on("llama_gqa")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="never overwritten"):
        save_icae(module, tmp_path / "used", "base", SEGMENT)
    partitioned = copy.deepcopy(module)
    partitioned.memory_token_embed.weight.data = torch.zeros(0)
    with pytest.raises(CheckpointError, match=r"memory_token_embed.weight has shape \(0,\)"):
        save_icae(partitioned, tmp_path / "a", "base", SEGMENT)
    module.memory_token_embed.weight.data[0, 0] = torch.inf
    with pytest.raises(CheckpointError, match="not finite"):
        save_icae(module, tmp_path / "b", "base", SEGMENT)


def test_a_batch_without_answers_runs_the_same_calls() -> None:
    module, calls = module_on("llama_gqa"), []
    asked = Batch(batch().text_BT, [])
    module.register_forward_pre_hook(lambda *_: calls.append(1))
    found = backward(IcaeObjective(CONFIG).losses(module, asked))
    assert len(calls) == 3
    assert [(loss.name, loss.weight) for loss in found.values()] == [("ae", 1 / 3), ("lm", 2 / 3), ("ft", 0.0)]
    assert (found["ft"].mean.item(), found["ft"].n_tokens) == (0.0, 0)


def test_weights_of_zero_leave_objectives_out() -> None:
    objective = IcaeObjective(IcaeObjectiveConfig(end_token=END, segment_length=SEGMENT, ae_weight=0, lm_weight=0))
    module = module_on("llama_gqa")
    assert [(loss.name, loss.weight) for loss in objective.losses(module, batch())] == [("ft", 1.0)]
    with pytest.raises(ConfigurationError, match="a batch has no answers; set ae_weight or lm_weight"):
        next(objective.losses(module, Batch(batch().text_BT, [])))


def test_bfloat16_keeps_what_is_trained_in_float32() -> None:
    module = module_on("llama_gqa", dtype=torch.bfloat16, dropout=0.05)
    assert {parameter.dtype for parameter in module.parameters() if parameter.requires_grad} == {torch.float32}
    found = backward(IcaeObjective(CONFIG).losses(module, batch()))
    exact = Derivation("llama_gqa").losses(batch())
    assert all(abs(loss.mean.item() / exact[name].item() - 1) < 0.05 for name, loss in found.items())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ae_weight": -1.0}, "none may be negative"),
        ({"ae_weight": 0, "lm_weight": 0, "ft_weight": 0}, "one must be above 0"),
        ({"context_share": 1.0}, "context_share 1.0 leaves nothing"),
        ({"segment_length": 0}, "segment_length 0"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        IcaeObjectiveConfig(end_token=END, **changes)


@pytest.mark.parametrize(("row", "after", "n_answer"), [(3, 10, 2), (-1, 10, 2), (0, 91, 2), (0, -1, 2), (0, 10, 0)])
def test_an_answer_that_does_not_fit_its_batch(row: int, after: int, n_answer: int) -> None:
    wrong = Batch(batch().text_BT, [Answer(row, after, torch.tensor([1]), torch.zeros(n_answer, dtype=torch.int64))])
    with pytest.raises(ConfigurationError, match=f"an answer of {n_answer} tokens to row {row} after token {after} does not fit"):
        list(IcaeObjective(CONFIG).losses(module_on("llama_gqa"), wrong))


def test_rows_too_short_to_be_continued() -> None:
    short = Batch(torch.randint(0, VOCABULARY, (2, 16)), [])
    with pytest.raises(ConfigurationError, match="rows of 16 tokens are too short to be cut at token 8"):
        next(IcaeObjective(CONFIG).losses(module_on("llama_gqa"), short))
