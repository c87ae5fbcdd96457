"""Answers given from the vectors of a substep: rows `[vectors so far ; prompt ; answer]` of one forward pass.

Rows are padded on the right and positions count from 0: under a causal mask nothing that counts sees the padding.
Shape suffixes: M answers, N positions, A supervised tokens, B rows of text, P vectors seen, H hidden size.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch

from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lloco_core.encoder_training.batch import Answer, Batch


class Question(NamedTuple):
    """An answer of the batch, and the segment of its substep after which it is given."""

    segment: int
    answer: Answer


def questions_of(batch: Batch, cuts: Sequence[Sequence[int]]) -> list[list[Question]]:
    """Per substep, the answers that its segments make answerable, sorted by segment.

    Args:
        cuts: per substep its start, break points, and end.

    Raises:
        ConfigurationError: an answer lies outside its batch or has no tokens.
    """
    n_rows, n_tokens = batch.text_BT.shape
    questions: list[list[Question]] = [[] for _ in cuts]
    ends = [(step, segment, end) for step, cut in enumerate(cuts) for segment, (_, end) in enumerate(pairwise(cut))]
    for answer in batch.answers:
        if not (0 <= answer.row < n_rows and 0 <= answer.after <= n_tokens) or not len(answer.answer):
            raise ConfigurationError(
                f"an answer of {len(answer.answer)} tokens to row {answer.row} after token {answer.after} does not fit a batch of "
                f"{n_rows} rows of {n_tokens} tokens; look at the source of the batches"
            )
        step, segment, _ = next(place for place in ends if place[2] >= answer.after)
        questions[step].append(Question(segment, answer))
    return [sorted(of_step, key=lambda question: question.segment) for of_step in questions]


def count_targets(questions: Sequence[Question]) -> int:
    """Supervised tokens."""
    return sum(len(question.answer.answer) for question in questions)


class AnswerRows(NamedTuple):
    """Questions as tensors."""

    token_ids_MN: torch.Tensor
    """int64; 0 under vectors and padding."""
    predicts_A: torch.Tensor
    """int64; positions of the flattened rows [M * N] that predict a token of an answer."""
    target_A: torch.Tensor
    """int64; the token that each of them predicts."""
    groups: list[tuple[int, torch.Tensor]]
    """Per segment with questions, in their order: the segment, and the rows of text the questions are about."""


def answer_rows(questions: Sequence[Question], n_seen: Sequence[int], device: torch.device) -> AnswerRows:
    """Lay questions out.

    Args:
        questions: sorted by segment. None at all gives one row of one token without a label: a worker without questions still
            runs what the others run.
        n_seen: vectors seen after each segment of the substep.
    """
    if not questions:
        nothing = torch.zeros(0, dtype=torch.int64, device=device)
        groups = [(len(n_seen) - 1, torch.zeros(1, dtype=torch.int64, device=device))]
        return AnswerRows(torch.zeros((1, n_seen[-1] + 1), dtype=torch.int64, device=device), nothing, nothing, groups)
    lengths = [n_seen[segment] + len(answer.prompt) + len(answer.answer) for segment, answer in questions]
    token_ids_MN = torch.zeros((len(questions), max(lengths)), dtype=torch.int64)
    predicts = []
    for m, (length, (segment, answer)) in enumerate(zip(lengths, questions, strict=True)):
        token_ids_MN[m, n_seen[segment] : length] = torch.cat([answer.prompt, answer.answer])
        predicts.append(m * max(lengths) + torch.arange(length - len(answer.answer), length) - 1)
    predicts_A = torch.cat(predicts)
    target_A = token_ids_MN.flatten()[predicts_A + 1]
    rows_of: dict[int, list[int]] = {}
    for segment, answer in questions:
        rows_of.setdefault(segment, []).append(answer.row)
    groups = [(segment, torch.tensor(rows, device=device)) for segment, rows in rows_of.items()]
    return AnswerRows(token_ids_MN.to(device), predicts_A.to(device), target_A.to(device), groups)


def answer_inputs(tokens_MNH: torch.Tensor, seen_BPH: Sequence[torch.Tensor], groups: Sequence[tuple[int, torch.Tensor]]) -> torch.Tensor:
    """Input embeddings [M, N, H]: each question's vectors, then its tokens.

    Args:
        tokens_MNH: embeddings of `token_ids_MN`.
        seen_BPH: vectors seen after each segment of the substep.
    """
    parts, first = [], 0
    for segment, rows_m in groups:
        vectors_mPH = seen_BPH[segment][rows_m]
        parts.append(torch.cat([vectors_mPH, tokens_MNH[first : first + len(rows_m), vectors_mPH.shape[1] :]], dim=1))
        first += len(rows_m)
    return torch.cat(parts)
