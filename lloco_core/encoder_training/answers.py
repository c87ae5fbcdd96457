"""Answers given from the vectors of a substep: rows `[vectors so far ; prompt ; answer ; prompt ; answer ; ...]` of one forward pass.

Questions about the same vectors share a row, so that these are read once: each sees the vectors and itself, and its positions go on
behind the vectors, as if it were alone.
Shape suffixes: M rows, N positions, Q questions, A supervised tokens, B rows of text, P vectors seen, H hidden size.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby, islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch

from lloco_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lloco_core.encoder_training.batch import Answer, Batch

QUESTIONS_PER_ROW = 8
"""At most: rows are padded to the longest, and some texts are asked much more than others."""
MULTIPLE = 8
"""Rows are padded to a multiple of this many positions: kernels read masks in such pieces."""


class Question(NamedTuple):
    """An answer of the batch, and the segment of its substep after which it is given."""

    segment: int
    answer: Answer


def questions_of(batch: Batch, cuts: Sequence[Sequence[int]]) -> list[list[Question]]:
    """Per substep, the answers that its segments make answerable, sorted by segment and row.

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
    return [sorted(of_step, key=_vectors_of) for of_step in questions]


def count_targets(questions: Sequence[Question]) -> int:
    """Supervised tokens."""
    return sum(len(question.answer.answer) for question in questions)


class AnswerRows(NamedTuple):
    """Questions as tensors."""

    token_ids_MN: torch.Tensor
    """int64; 0 under vectors and padding."""
    position_MN: torch.Tensor
    """int64; of every question behind its vectors, 0 under padding."""
    part_MN: torch.Tensor
    """int64; 0 under vectors, else the number of the question in its row, -1 under padding."""
    predicts_A: torch.Tensor
    """int64; positions of the flattened rows [M * N] that predict a token of an answer."""
    target_A: torch.Tensor
    """int64; the token that each of them predicts."""
    groups: list[tuple[int, torch.Tensor]]
    """Per segment with questions, in their order: the segment, and the rows of text that the rows [M] are about."""


def answer_rows(questions: Sequence[Question], n_seen: Sequence[int], device: torch.device) -> AnswerRows:
    """Lay questions out.

    Args:
        questions: sorted by segment and row. None at all gives one row without a label: a worker without questions still runs what the
            others run.
        n_seen: vectors seen after each segment of the substep.
    """
    rows = list(_rows(questions)) or [[]]
    segments = [row[0].segment if row else len(n_seen) - 1 for row in rows]
    laid_out, supervised = _lay_out(rows, torch.tensor([n_seen[segment] for segment in segments]))
    about_M = torch.tensor([row[0].answer.row if row else 0 for row in rows])
    n_rows = Counter(segments)
    groups = zip(n_rows, _send(about_M, device).split(list(n_rows.values())), strict=True)
    return AnswerRows(*_send(laid_out, device), *_send(supervised, device), list(groups))


def _lay_out(rows: list[list[Question]], n_seen_M: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, positions, and parts [3, M, N] of the rows; which positions predict answers, and which tokens [2, A]."""
    parts = [part for row in rows for question in row for part in (question.answer.prompt, question.answer.answer)]
    length_Q2 = torch.tensor([len(part) for part in parts], dtype=torch.int64).reshape(-1, 2)
    length_Q = length_Q2.sum(1)
    row_Q, number_Q, offset_Q = _places(rows, length_Q)
    length_M = n_seen_M + torch.zeros_like(n_seen_M).index_add(0, row_Q, length_Q)
    n_positions = -(-max(1, int(length_M.max())) // MULTIPLE) * MULTIPLE

    ids = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)
    within = torch.arange(len(ids)) - (length_Q.cumsum(0) - length_Q).repeat_interleave(length_Q)
    place = (row_Q * n_positions + n_seen_M[row_Q] + offset_Q).repeat_interleave(length_Q) + within
    is_answer = torch.tensor([False, True]).repeat(len(length_Q)).repeat_interleave(length_Q2.flatten())

    token_ids, position, part = flat = torch.zeros((3, len(rows) * n_positions), dtype=torch.int64)
    token_ids[place] = ids
    position[place] = n_seen_M[row_Q].repeat_interleave(length_Q) + within
    part.fill_(-1)[place] = number_Q.repeat_interleave(length_Q)
    token_ids_MN, position_MN, part_MN = flat.reshape(3, len(rows), n_positions)
    slot_N = torch.arange(n_positions)
    is_vector_MN = slot_N < n_seen_M[:, None]
    laid_out = torch.stack([token_ids_MN, torch.where(is_vector_MN, slot_N, position_MN), part_MN.masked_fill(is_vector_MN, 0)])
    return laid_out, torch.stack([place[is_answer] - 1, ids[is_answer]])


def _send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """To the device, without waiting for what it has still to compute."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def answer_inputs(tokens_MNH: torch.Tensor, seen_BPH: Sequence[torch.Tensor], groups: Sequence[tuple[int, torch.Tensor]]) -> torch.Tensor:
    """Input embeddings [M, N, H]: the vectors of each row, then its questions.

    Args:
        tokens_MNH: embeddings of `token_ids_MN`.
        seen_BPH: vectors seen after each segment of the substep.
    """
    parts, first = [], 0
    for segment, rows_m in groups:
        vectors_mPH = seen_BPH[segment].index_select(0, rows_m)
        parts.append(torch.cat([vectors_mPH, tokens_MNH[first : first + len(rows_m), vectors_mPH.shape[1] :]], dim=1))
        first += len(rows_m)
    return torch.cat(parts)


def answer_mask(rows: AnswerRows, dtype: torch.dtype, window: int | None) -> torch.Tensor:
    """What a question sees, [M, 1, N, N] to be added to the scores: vectors and itself, up to each position.

    Args:
        window: of a model with a sliding one, in positions.
    """
    slot_N = torch.arange(rows.part_MN.shape[1], device=rows.part_MN.device)
    seen_MNN = (rows.part_MN[:, None] == 0) | (rows.part_MN[:, None] == rows.part_MN[:, :, None])
    seen_MNN = seen_MNN & (slot_N <= slot_N[:, None])
    if window:
        seen_MNN = seen_MNN & (rows.position_MN[:, :, None] - rows.position_MN[:, None] < window)
    return torch.zeros(seen_MNN.shape, dtype=dtype, device=slot_N.device).masked_fill_(~seen_MNN, float("-inf"))[:, None]


def _vectors_of(question: Question) -> tuple[int, int]:
    return question.segment, question.answer.row


def _rows(questions: Sequence[Question]) -> Iterator[list[Question]]:
    for _, same in groupby(questions, key=_vectors_of):
        while row := list(islice(same, QUESTIONS_PER_ROW)):
            yield row


def _places(rows: list[list[Question]], length_Q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of every question its row, its number there from 1, and the tokens of questions before it there."""
    n_M = torch.tensor([len(row) for row in rows])
    row_Q, first_Q = torch.arange(len(rows)).repeat_interleave(n_M), (n_M.cumsum(0) - n_M).repeat_interleave(n_M)
    before_Q = length_Q.cumsum(0) - length_Q
    return row_Q, torch.arange(len(row_Q)) - first_Q + 1, before_Q - before_Q[first_Q]
