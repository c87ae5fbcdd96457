"""Losses and gradients of the AutoCompressor objective equal a derivation from stock transformers, row by row and by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from tiny_encoder import BASES, SUMMARY, VOCABULARY, answer, objective_config, summary_embedding, tiny_model, tiny_module, tokens

from lloco_core.encoder_training.answers import QUESTIONS_PER_ROW
from lloco_core.encoder_training.autocompressor import AutoCompressorObjective
from lloco_core.encoder_training.batch import Answer, Batch
from lloco_core.encoder_training.module import AutoCompressorModule
from lloco_core.encoder_training.objective import Loss
from lloco_core.encoder_training.segments import cut_row
from lloco_core.errors import ConfigurationError

SEED = 3
ROWS, LENGTH = 3, 41
TEXT = tokens(ROWS, LENGTH, seed=1)
ANSWERS = [answer(0, 4, 2, 3), answer(2, 4, 5, 1), answer(2, LENGTH, 1, 4), answer(1, 19, 0, 2), answer(0, 0, 3, 1)]
TOLERANCE = {"atol": 1e-5, "rtol": 1e-4}
SHAPES = {"substep_tokens": LENGTH // 2, "segments": 2}


def surprise(logits: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    return torch.logsumexp(logits, 0) - logits[token]


class ByHand:
    """The method, one row and one position at a time, on an untouched stock model."""

    def __init__(self, base: str, accumulate: bool, detach: str = "between substeps", answers_reach_vectors: bool = True) -> None:
        self.stock = tiny_model(base, attn_implementation="eager")
        self.summary = summary_embedding().requires_grad_()
        self.accumulate, self.detach, self.answers_reach_vectors = accumulate, detach, answers_reach_vectors

    def run(self, x: list[torch.Tensor]) -> torch.Tensor:
        return self.stock.model(inputs_embeds=torch.cat(x)[None], use_cache=False).last_hidden_state[0]

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return self.stock.get_input_embeddings()(ids)

    def substep(self, row: int, carried: torch.Tensor, cut: list[int], earlier: int, answers: list[Answer]) -> tuple[list, list, Any]:
        """Surprises of the text and of the answers, and the vectors at the end."""
        vectors, text, answered = carried, [], []
        for start, end in pairwise(cut):
            out = self.run([vectors, self.embed(TEXT[row, start:end]), self.summary])
            for position in range(start, min(end, LENGTH - 1)):
                logits = self.stock.lm_head(out[len(vectors) + position - start])
                text.append(surprise(logits, TEXT[row, position + 1]))
            new = out[-SUMMARY:]
            vectors = torch.cat([vectors, new]) if self.accumulate else new
            mine = [item for item in answers if item.row == row and earlier < max(item.after, 1) <= end]
            answered += [loss for item in mine for loss in self.answer(vectors, item)]
            earlier = end
            if self.detach == "everywhere":
                vectors = vectors.detach()
        return text, answered, vectors

    def answer(self, vectors: torch.Tensor, item: Answer) -> list[torch.Tensor]:
        vectors = vectors if self.answers_reach_vectors else vectors.detach()
        ids = torch.cat([item.prompt, item.answer])
        out = self.run([vectors, self.embed(ids)])
        n_before = len(vectors) + len(item.prompt)
        return [surprise(self.stock.lm_head(out[n_before + k - 1]), token) for k, token in enumerate(item.answer)]

    def losses(self, cuts: list[list[int]], answers: list[Answer], lm_weight: float = 1.0, answer_weight: float = 1.0) -> list[float]:
        """Back-propagates what each substep adds to the batch's loss, and returns it."""
        n_text, n_answers = ROWS * (LENGTH - 1), sum(len(item.answer) for item in answers)
        whole = lm_weight + (answer_weight if answers else 0)
        carried = [self.summary[:0].detach()] * ROWS
        added, graphs = [], []
        for cut in cuts:
            parts = [self.substep(row, carried[row], cut, cut[0], answers) for row in range(ROWS)]
            loss = lm_weight / whole * sum(sum(text) for text, _, _ in parts) / n_text
            if answers:
                loss = loss + answer_weight / whole * sum(sum(answered) for _, answered, _ in parts) / n_answers
            graphs.append(loss)
            carried = [vectors if self.detach == "nowhere" else vectors.detach() for _, _, vectors in parts]
            added.append(loss.item())
        sum(graphs).backward()
        return added

    def gradients(self) -> dict[str, torch.Tensor]:
        found = {name: parameter.grad for name, parameter in self.stock.named_parameters()}
        return found | {"embed_summary.weight": self.summary.grad}


def cuts_of(**shape: float) -> list[list[int]]:
    torch.manual_seed(SEED)
    return cut_row(LENGTH, objective_config(**{**SHAPES, **shape}))


def run_objective(module: AutoCompressorModule, answers: list[Answer], first_model: Any = None, **config: Any) -> list[Loss]:
    torch.manual_seed(SEED)
    losses = []
    for loss in AutoCompressorObjective(objective_config(**{**SHAPES, **config}), first_model).losses(module, Batch(TEXT, answers)):
        (loss.mean * loss.weight).backward()
        losses.append(loss._replace(mean=loss.mean.detach()))
    return losses


def added(losses: list[Loss]) -> list[float]:
    return [loss.mean.item() * loss.weight for loss in losses]


def gradients(module: AutoCompressorModule) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def assert_same_gradients(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=lambda text, name=name: f"{name}: {text}", **TOLERANCE)


@pytest.mark.parametrize("answers", [[], ANSWERS], ids=["text", "answers"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("accumulate", [True, False], ids=["accumulate", "rmt"])
@pytest.mark.parametrize("base", BASES)
def test_losses_and_gradients_equal_the_derivation(base: str, accumulate: bool, checkpointing: bool, answers: list[Answer]) -> None:
    by_hand = ByHand(base, accumulate)
    expected = by_hand.losses(cuts_of(), answers)
    module = tiny_module(base)
    losses = run_objective(module, answers, accumulate=accumulate, segment_checkpointing=checkpointing, logits_chunk=16)
    assert added(losses) == pytest.approx(expected, rel=1e-5)
    assert [loss.name for loss in losses] == ["lm", "lm"]
    assert sum(loss.weight for loss in losses) == pytest.approx(1)
    assert sum(loss.n_tokens for loss in losses) == ROWS * (LENGTH - 1) + sum(len(item.answer) for item in answers)
    assert_same_gradients(gradients(module), by_hand.gradients())


@pytest.mark.parametrize(
    ("substeps", "segments", "multiple", "even"), [(1, 1, 1, 0), (1, 4, 1, 0), (3, 2, 4, 0), (4, 1, 1, 0), (2, 3, 9, 1)]
)
def test_other_numbers_of_substeps_and_segments(substeps: int, segments: int, multiple: int, even: float) -> None:
    by_hand = ByHand("llama_tied", accumulate=True)
    shape = {"substep_tokens": LENGTH // substeps, "segments": segments, "segment_multiple": multiple, "even_cuts": even}
    cuts = cuts_of(**shape)
    assert [len(cut) for cut in cuts] == [segments + 1] * substeps
    expected = by_hand.losses(cuts, ANSWERS, lm_weight=0.5, answer_weight=2.0)
    module = tiny_module()
    losses = run_objective(module, ANSWERS, lm_weight=0.5, answer_weight=2.0, **shape)
    assert added(losses) == pytest.approx(expected, rel=1e-5)
    assert_same_gradients(gradients(module), by_hand.gradients())


@pytest.mark.parametrize(
    "wrong", [{"detach": "nowhere"}, {"detach": "everywhere"}, {"answers_reach_vectors": False}, {"accumulate": False}], ids=str
)
def test_the_comparison_would_notice(wrong: dict[str, Any]) -> None:
    """Gradients through all of the row, through none of the vectors, or not from the answers are other gradients."""
    by_hand = ByHand("llama_tied", **{"accumulate": True} | wrong)
    by_hand.losses(cuts_of(), ANSWERS)
    module = tiny_module()
    run_objective(module, ANSWERS)
    difference = (gradients(module)["embed_summary.weight"] - by_hand.gradients()["embed_summary.weight"]).abs().max()
    assert difference > 100 * TOLERANCE["atol"]


def test_curves_are_the_plain_means() -> None:
    losses = run_objective(tiny_module(), ANSWERS, lm_weight=0.25, answer_weight=4.0)
    totals: dict[str, list[float]] = {}
    for curve in (curve for loss in losses for curve in loss.curves):
        totals.setdefault(curve.name, []).append(curve.mean.item() * curve.n_tokens)
    by_hand = ByHand("llama_tied", accumulate=True)
    assert sum(totals["lm"]) / (ROWS * (LENGTH - 1)) == pytest.approx(sum(by_hand.losses(cuts_of(), [])), rel=1e-5)
    weighted = by_hand.losses(cuts_of(), ANSWERS, lm_weight=1e-9, answer_weight=1.0)
    assert sum(totals["answer"]) / sum(len(item.answer) for item in ANSWERS) == pytest.approx(sum(weighted), rel=1e-4)


def test_plain_rows_and_divergence_from_the_first_model() -> None:
    first = tiny_model(seed=9).requires_grad_(False)
    module = tiny_module()
    config = {"plain_share": 0.5, "plain_tokens": 18, "plain_weight": 3.0, "kl_weight": 0.5, "lm_weight": 2.0, "logits_chunk": 7}
    losses = run_objective(module, [], first, **config)
    assert [loss.name for loss in losses] == ["lm", "lm", "plain"]
    assert sum(loss.weight for loss in losses) == pytest.approx(1)

    by_hand = ByHand("llama_tied", accumulate=True)
    expected = [2.0 / 5.5 * loss for loss in by_hand.losses(cuts_of(), [])]
    for parameter in [*by_hand.stock.parameters(), by_hand.summary]:
        parameter.grad *= 2.0 / 5.5
    rows = TEXT[1:, :36].reshape(4, 18)
    logits, first_logits = by_hand.stock(rows).logits[:, :-1].log_softmax(-1), first(rows).logits[:, :-1].log_softmax(-1)
    plain = -logits.gather(-1, rows[:, 1:, None]).mean()
    divergence = (first_logits.exp() * (first_logits - logits)).sum(-1).mean()
    loss = 3.0 / 5.5 * plain + 0.5 / 5.5 * divergence
    loss.backward()
    assert added(losses) == pytest.approx([*expected, loss.item()], rel=1e-5)
    assert [(curve.name, curve.mean.item()) for curve in losses[-1].curves] == [
        ("plain", pytest.approx(plain.item(), rel=1e-5)),
        ("kl", pytest.approx(divergence.item(), rel=1e-5)),
    ]
    assert_same_gradients(gradients(module), by_hand.gradients())


@pytest.mark.parametrize(("positions", "windows"), [(64, [(0, 0)]), (20, [(0, 0), (10, 20), (20, 30), (21, 40)])], ids=["whole", "windows"])
def test_text_is_held_to_what_the_first_model_makes_of_text(positions: int, windows: list[tuple[int, int]]) -> None:
    """`windows`: where a window begins, and the first position that is taken from it."""
    first = tiny_model(seed=9).requires_grad_(False)
    first.config.max_position_embeddings = positions
    module = tiny_module()
    losses = run_objective(module, ANSWERS, first, context_kl_weight=0.5, lm_weight=2.0, answer_weight=1.5, logits_chunk=7)

    by_hand = ByHand("llama_tied", accumulate=True)
    by_hand.losses(cuts_of(), ANSWERS, lm_weight=2.0, answer_weight=1.5)
    for parameter in [*by_hand.stock.parameters(), by_hand.summary]:
        parameter.grad *= 3.5 / 4.0
    first_logits, expected = torch.zeros(ROWS, LENGTH, VOCABULARY), []
    for start, taken in windows:
        read = first(TEXT[:, start : start + positions]).logits.log_softmax(-1)
        first_logits[:, taken : start + positions] = read[:, taken - start :]
    carried = [by_hand.summary[:0].detach()] * ROWS
    for cut in cuts_of():
        found = 0.0
        for row in range(ROWS):
            vectors = carried[row]
            for start, end in pairwise(cut):
                out = by_hand.run([vectors, by_hand.embed(TEXT[row, start:end]), by_hand.summary])
                n_predicted = min(end, LENGTH - 1) - start
                logits = by_hand.stock.lm_head(out[len(vectors) :][:n_predicted]).log_softmax(-1)
                wanted = first_logits[row, start : start + n_predicted]
                found = found + (wanted.exp() * (wanted - logits)).sum()
                vectors = torch.cat([vectors, out[-SUMMARY:]])
            carried[row] = vectors.detach()
        (0.5 / 4.0 * found / (ROWS * (LENGTH - 1))).backward()
        expected.append(found.item())
    curves = [curve for loss in losses for curve in loss.curves if curve.name == "context_kl"]
    assert [curve.mean.item() * curve.n_tokens for curve in curves] == pytest.approx(expected, rel=1e-5)
    assert sum(loss.weight for loss in losses) == pytest.approx(1)
    assert_same_gradients(gradients(module), by_hand.gradients())


@pytest.mark.parametrize(
    ("piece", "positions", "passes"), [(LENGTH, 64, 1), (18, 64, 2), (LENGTH, 20, 2)], ids=["rows", "pieces", "windows"]
)
def test_the_first_model_reads_rows_once_for_both_divergences(piece: int, positions: int, passes: int) -> None:
    first = tiny_model(seed=9).requires_grad_(False)
    first.config.max_position_embeddings = positions
    calls = []
    first.get_decoder().register_forward_hook(lambda *_: calls.append(1))
    config = {"plain_share": 0.5, "plain_tokens": piece, "kl_weight": 0.5, "context_kl_weight": 0.5}
    losses = run_objective(tiny_module(), [], first, **config)
    assert len(calls) == passes
    rows = TEXT[1:, : LENGTH // piece * piece].reshape(-1, piece)
    now, then = (model(rows).logits[:, :-1].log_softmax(-1) for model in (tiny_model(), first))
    (kl,) = [curve.mean.item() for curve in losses[-1].curves if curve.name == "kl"]
    assert kl == pytest.approx((then.exp() * (then - now)).sum(-1).mean().item(), rel=1e-4)


def test_a_divergence_needs_the_first_model() -> None:
    with pytest.raises(ConfigurationError, match=r"context_kl_weight 0.5 need the model that training starts from"):
        AutoCompressorObjective(objective_config(context_kl_weight=0.5))


@pytest.mark.parametrize("base", BASES)
def test_questions_about_the_same_vectors_share_rows_and_count_as_alone(base: str) -> None:
    """More than one row of questions behind one segment, some of them behind others."""
    asked = [answer(1, 10, 1 + n % 4, 1 + n % 3) for n in range(2 * QUESTIONS_PER_ROW + 3)] + ANSWERS
    by_hand = ByHand(base, accumulate=True)
    expected = by_hand.losses(cuts_of(), asked)
    module = tiny_module(base)
    assert added(run_objective(module, asked)) == pytest.approx(expected, rel=1e-5)
    assert_same_gradients(gradients(module), by_hand.gradients())


def kept_tensors(**config: Any) -> list[torch.Tensor]:
    kept: list[torch.Tensor] = []
    module = tiny_module()
    objective = AutoCompressorObjective(objective_config(substep_tokens=LENGTH, **config))
    torch.manual_seed(SEED)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        next(objective.losses(module, Batch(TEXT, [])))
    return kept


def test_logits_of_a_whole_row_are_never_kept() -> None:
    def logits_kept(chunk: int) -> int:
        return max((len(tensor) for tensor in kept_tensors(logits_chunk=chunk) if tensor.shape[-1:] == (VOCABULARY,)), default=0)

    assert max(len(tensor) for tensor in kept_tensors(logits_chunk=16)) >= 3  # something is kept at all
    assert logits_kept(10_000) == logits_kept(16) == 0


def test_recomputed_segments_are_not_kept() -> None:
    kept, recomputed = (sum(t.numel() for t in kept_tensors(segments=4, segment_checkpointing=flag)) for flag in (False, True))
    assert recomputed < 0.6 * kept


def test_every_batch_draws_other_break_points_and_equal_seeds_the_same() -> None:
    drawn = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        drawn.append(cut_row(3000, objective_config(substep_tokens=1500, segment_multiple=100)))
    assert drawn[0] == drawn[2] != drawn[1]


def test_break_points_are_uniform_distinct_and_multiples() -> None:
    torch.manual_seed(0)
    counts: dict[int, int] = {}
    for _ in range(2000):
        first, second = cut_row(64, objective_config(substep_tokens=32, segments=3, segment_multiple=8))
        assert (first[0], first[-1], second[0], second[-1]) == (0, 32, 32, 64)
        assert first == sorted(set(first))
        assert all(cut % 8 == 0 for cut in first)
        for cut in first[1:-1]:
            counts[cut] = counts.get(cut, 0) + 1
    assert set(counts) == {8, 16, 24}
    assert all(abs(count - 4000 / 3) < 120 for count in counts.values())


def test_the_share_of_even_cuts_is_that_of_the_recipe() -> None:
    torch.manual_seed(0)
    even = [[0, 24, 48], [48, 72, 96]]
    drawn = [cut_row(96, objective_config(substep_tokens=48, even_cuts=0.25)) == even for _ in range(400)]
    assert 70 < sum(drawn) < 130


def test_rows_have_substeps_of_about_the_tokens_of_the_recipe() -> None:
    assert [len(cut_row(n, objective_config())) for n in (512, 1536, 3072, 6144, 24_576)] == [1, 1, 1, 2, 8]


def test_rows_that_are_too_short_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="20 tokens cannot be cut into 2 segments at multiples of 32"):
        cut_row(40, objective_config(substep_tokens=20, segment_multiple=32))


@pytest.mark.parametrize("wrong", [answer(ROWS, 1, 1, 1), answer(0, LENGTH + 1, 1, 1), answer(0, 1, 2, 0)], ids=["row", "place", "empty"])
def test_answers_that_do_not_fit_are_refused(wrong: Answer) -> None:
    with pytest.raises(ConfigurationError, match="does not fit a batch of 3 rows of 41 tokens"):
        run_objective(tiny_module(), [wrong])
