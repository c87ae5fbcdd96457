"""Answers given from the vectors of a substep: rows `[vectors so far ; prompt ; answer ; prompt ; answer ; ...]` of one forward pass.

Questions about one text share a row, so that its vectors are read once: each sees itself and the vectors of the segments before it, and its
positions go on behind these, as if it were alone. Where every segment has vectors of its own (RMT), a row is about those of one segment.
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

QUESTIONS_PER_ROW = 16
"""At most: rows are padded to the longest, and some texts are asked much more than others."""
MULTIPLE = 8
"""Rows are padded to a multiple of this many positions: kernels read masks in such pieces."""


class Question(NamedTuple):
    """An answer of the batch, and the segment of its substep after which it is given."""

    segment: int
    answer: Answer


def questions_of(batch: Batch, cuts: Sequence[Sequence[int]]) -> list[list[Question]]:
    """Per substep, the answers that its segments make answerable.

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
    return questions


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
    sees_MN: torch.Tensor
    """int64; how many vectors of its row a position may see."""
    predicts_A: torch.Tensor
    """int64; positions of the flattened rows [M * N] that predict a token of an answer."""
    target_A: torch.Tensor
    """int64; the token that each of them predicts."""
    groups: list[tuple[int, torch.Tensor]]
    """Per segment with questions, in their order: the segment, and the rows of text that the rows [M] are about."""


def answer_rows(questions: Sequence[Question], n_seen: Sequence[int], accumulate: bool, device: torch.device) -> AnswerRows:
    """Lay questions out.

    Args:
        questions: None at all gives one row without a label: a worker without questions still runs what the others run.
        n_seen: vectors seen after each segment of the substep.
        accumulate: those after a segment begin with those before it.
    """
    rows = sorted(_rows(questions, accumulate), key=_last_segment) or [[]]
    segments = [_last_segment(row) if row else len(n_seen) - 1 for row in rows]
    laid_out, supervised = _lay_out(rows, torch.tensor([n_seen[segment] for segment in segments]), n_seen)
    about_M = torch.tensor([row[0].answer.row if row else 0 for row in rows])
    n_rows = Counter(segments)
    groups = zip(n_rows, _send(about_M, device).split(list(n_rows.values())), strict=True)
    return AnswerRows(*_send(laid_out, device), *_send(supervised, device), list(groups))


def _last_segment(row: list[Question]) -> int:
    return max(question.segment for question in row)


def _lay_out(rows: list[list[Question]], n_vectors_M: torch.Tensor, n_seen: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, positions, parts, and vectors seen [4, M, N] of the rows; which positions predict answers, and which tokens [2, A]."""
    parts = [part for row in rows for question in row for part in (question.answer.prompt, question.answer.answer)]
    length_Q2 = torch.tensor([len(part) for part in parts], dtype=torch.int64).reshape(-1, 2)
    length_Q = length_Q2.sum(1)
    sees_Q = torch.tensor([n_seen[question.segment] for row in rows for question in row], dtype=torch.int64)
    row_Q, number_Q, offset_Q = _places(rows, length_Q)
    length_M = n_vectors_M + torch.zeros_like(n_vectors_M).index_add(0, row_Q, length_Q)
    n_positions = -(-max(1, int(length_M.max())) // MULTIPLE) * MULTIPLE

    ids = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)
    within = torch.arange(len(ids)) - (length_Q.cumsum(0) - length_Q).repeat_interleave(length_Q)
    place = (row_Q * n_positions + n_vectors_M[row_Q] + offset_Q).repeat_interleave(length_Q) + within
    is_answer = torch.tensor([False, True]).repeat(len(length_Q)).repeat_interleave(length_Q2.flatten())

    token_ids, position, part, sees = flat = torch.zeros((4, len(rows) * n_positions), dtype=torch.int64)
    token_ids[place] = ids
    sees[place] = sees_Q.repeat_interleave(length_Q)
    position[place] = sees[place] + within
    part.fill_(-1)[place] = number_Q.repeat_interleave(length_Q)
    token_ids_MN, position_MN, part_MN, sees_MN = flat.reshape(4, len(rows), n_positions)
    slot_N = torch.arange(n_positions)
    is_vector_MN = slot_N < n_vectors_M[:, None]
    position_MN = torch.where(is_vector_MN, slot_N, position_MN)
    sees_MN = torch.where(is_vector_MN, n_vectors_M[:, None], sees_MN)
    laid_out = torch.stack([token_ids_MN, position_MN, part_MN.masked_fill(is_vector_MN, 0), sees_MN])
    last_vector = (row_Q * n_positions + sees_Q - 1).repeat_interleave(length_Q)  # predicts the answer to an empty prompt
    predicts = torch.where(within == 0, last_vector, place - 1)
    return laid_out, torch.stack([predicts[is_answer], ids[is_answer]])


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
    of_vectors_MNN = (rows.part_MN[:, None] == 0) & (slot_N < rows.sees_MN[:, :, None])
    seen_MNN = of_vectors_MNN | (rows.part_MN[:, None] == rows.part_MN[:, :, None])
    seen_MNN = seen_MNN & (slot_N <= slot_N[:, None])
    if window:
        seen_MNN = seen_MNN & (rows.position_MN[:, :, None] - rows.position_MN[:, None] < window)
    return torch.zeros(seen_MNN.shape, dtype=dtype, device=slot_N.device).masked_fill_(~seen_MNN, float("-inf"))[:, None]


def _by_row_and_segment(question: Question) -> tuple[int, int]:
    return question.answer.row, question.segment


def _rows(questions: Sequence[Question], accumulate: bool) -> Iterator[list[Question]]:
    ordered = sorted(questions, key=_by_row_and_segment)
    for _, same in groupby(ordered, key=lambda question: question.answer.row if accumulate else _by_row_and_segment(question)):
        while row := list(islice(same, QUESTIONS_PER_ROW)):
            yield row


def _places(rows: list[list[Question]], length_Q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of every question its row, its number there from 1, and the tokens of questions before it there."""
    n_M = torch.tensor([len(row) for row in rows])
    row_Q, first_Q = torch.arange(len(rows)).repeat_interleave(n_M), (n_M.cumsum(0) - n_M).repeat_interleave(n_M)
    before_Q = length_Q.cumsum(0) - length_Q
    return row_Q, torch.arange(len(row_Q)) - first_Q + 1, before_Q - before_Q[first_Q]
