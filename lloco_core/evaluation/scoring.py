"""Answers to the questions of a data set -> its measures x 100, with intervals over its clusters (method, section 5).

| measure | keys |
|---|---|
| `f1` | em, f1, contained |
| `hotpot` | em, f1 (yes, no, and noanswer all or nothing), contained |
| `choice` | accuracy |
| `rouge` | rouge1, rouge2, rougeL, rougeLsum, geometric_mean (of the first three means) |

Shape suffixes: N questions, M keys, R draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lloco_core.errors import DatasetError
from lloco_core.evaluation.answers import contained, exact_match, hotpot_f1, option_matches, token_f1
from lloco_core.evaluation.intervals import Bootstrap, Interval, interval
from lloco_core.evaluation.rouge import AVERAGED, rouge_scores

if TYPE_CHECKING:
    from lloco_core.evaluation.datasets.example import Example, Measure


class Scores(NamedTuple):
    """Scores of every question, for means, intervals, and paired differences."""

    keys: tuple[str, ...]
    values_NM: np.ndarray
    """Between 0 and 100."""
    clusters: list[str]

    def column(self, key: str) -> np.ndarray:
        """Scores of one key [N]."""
        return self.values_NM[:, self.keys.index(key)]


def answer_scores(measure: Measure, answer: str, references: Sequence[str]) -> dict[str, float]:
    """Scores of one answer, between 0 and 1."""
    if measure == "choice":
        return {"accuracy": option_matches(answer, references)}
    if measure == "rouge":
        return rouge_scores(answer, references)
    f1 = hotpot_f1 if measure == "hotpot" else token_f1
    return {"em": exact_match(answer, references), "f1": f1(answer, references), "contained": contained(answer, references)}


def score(examples: Sequence[Example], answers: Mapping[str, str]) -> Scores:
    """Scores of the answers to all questions, by question id.

    Raises:
        DatasetError: no questions, questions of several measures, or a question without an answer.
    """
    measures = sorted({example.measure for example in examples})
    if len(measures) != 1:
        raise DatasetError(f"{len(examples)} questions of the measures {measures} cannot be averaged; score one data set at a time")
    if missing := [example.question_id for example in examples if example.question_id not in answers]:
        raise DatasetError(
            f"{len(missing)} of {len(examples)} questions have no answer, the first is {missing[0]!r}; answer all, if with ''"
        )
    rows = [answer_scores(example.measure, answers[example.question_id], example.references) for example in examples]
    values_NM = 100 * np.array([list(row.values()) for row in rows])
    return Scores(tuple(rows[0]), values_NM, [example.cluster for example in examples])


def intervals_of(scores: Scores, bootstrap: Bootstrap = Bootstrap()) -> dict[str, Interval]:  # noqa: B008 - frozen
    """Every key's mean with its interval, and for ROUGE the geometric mean.

    Raises:
        ConfigurationError: all questions belong to one cluster.
    """
    found = {key: interval(scores.column(key), scores.clusters, bootstrap=bootstrap) for key in scores.keys}
    if set(AVERAGED) <= set(scores.keys):
        averaged_NM = np.stack([scores.column(key) for key in AVERAGED], axis=1)
        found["geometric_mean"] = interval(averaged_NM, scores.clusters, statistic=geometric_mean, bootstrap=bootstrap)
    return found


def geometric_mean(means_RM: np.ndarray) -> np.ndarray:
    """Of the columns; a statistic for `intervals`."""
    return np.prod(means_RM, axis=1) ** (1 / means_RM.shape[1])
