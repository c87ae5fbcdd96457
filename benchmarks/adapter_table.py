"""The same questions under several conditions, each with an adapter of its own: scores with intervals, differences, and a sentence."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lloco_core.evaluation.intervals import Interval, paired_difference
from lloco_core.evaluation.scoring import Scores, intervals_of, score

if TYPE_CHECKING:
    from benchmarks.adapter_questions import Fold
    from benchmarks.adapting import Contexts, Reader, Reads
    from lloco_core.config import FinetuneConfig

DIGITS = 2
Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a question is asked with."""

    name: str
    reads: Reads
    adapted: bool = True
    reader: str = "trained"


VECTORS, NONE = Condition("vectors", "vectors"), Condition("none", "none")
STYLE = (
    VECTORS,
    NONE,
    Condition("untrained", "vectors", reader="untrained"),
    Condition("random_summary", "vectors", reader="random_summary"),
    Condition("vectors_zero_shot", "vectors", adapted=False),
    Condition("full_text_zero_shot", "full_text", adapted=False),
)
FAIRYTALES = (VECTORS, NONE, Condition("cut_text", "cut_text"), Condition("full_text", "full_text"))
ARTICLES = (VECTORS, NONE)
IN_WORDS = {
    "none": "an adapter without context",
    "untrained": "an adapter on vectors of an untrained encoder",
    "random_summary": "an adapter on vectors of its own weights with a random summary embedding",
    "vectors_zero_shot": "the same vectors without an adapter",
    "full_text_zero_shot": "the full text without an adapter",
    "cut_text": "an adapter on text as short as the vectors",
    "full_text": "an adapter on the full text",
}


class Part:
    """One set of questions under several conditions; `vectors` is among them."""

    def __init__(self, folds: Sequence[Fold], readers: Mapping[str, Reader], recipe: FinetuneConfig, folder: Path) -> None:
        self._folds = folds
        self._readers = readers
        self._recipe = recipe
        self._folder = folder
        self._contexts: dict[tuple[str, Reads, int, int], Contexts] = {}

    def table(self, conditions: Sequence[Condition]) -> Table:
        """Scores of all conditions, and how far that of `vectors` is above every other."""
        scores, adapters = {}, {}
        asked = [example for fold in self._folds for example in fold.test.examples]
        for condition in conditions:
            if condition.reader not in self._readers:
                continue
            answers: dict[str, str] = {}
            for number in range(len(self._folds)):
                found, training = self._answers(condition, number)
                answers |= found
                if training:
                    adapters.setdefault(condition.name, []).append(training)
            scores[condition.name] = score(asked, answers)
        train = {name for fold in self._folds for name in fold.train.tokens}
        limit = self._readers["trained"].text_limit
        return _scored(scores) | {
            "questions": len(asked),
            "documents": len({example.cluster for example in asked}),
            "documents_longer_than_full_text": sum(len(ids_T) > limit for fold in self._folds for ids_T in fold.test.tokens.values()),
            "train_documents": len(train),
            "adapters": adapters,
        }

    def _answers(self, condition: Condition, number: int) -> tuple[dict[str, str], Table | None]:
        started, reader, fold = time.monotonic(), self._readers[condition.reader], self._folds[number]
        folder, training = None, None
        if condition.adapted:
            folder = self._folder / f"{condition.name}-{number}"
            training = reader.train(fold.train, self._read(condition, number, 0), self._recipe, folder)
        trained = time.monotonic()
        answers = reader.answers(fold.test, self._read(condition, number, 1), folder)
        print(f"  {condition.name}: trained in {trained - started:.0f} s, asked in {time.monotonic() - trained:.0f} s", flush=True)
        return answers, training

    def _read(self, condition: Condition, number: int, side: int) -> Contexts:
        key = (condition.reader, condition.reads, number, side)
        if key not in self._contexts:
            self._contexts[key] = self._readers[condition.reader].contexts(condition.reads, self._folds[number][side])
        return self._contexts[key]


def _scored(scores: Mapping[str, Scores]) -> Table:
    whole = {name: intervals_of(found) for name, found in scores.items()}
    table = {key: _column({name: parts[key] for name, parts in whole.items()}) for key in ("f1", "em")}
    first = scores[VECTORS.name]
    above = {
        name: paired_difference(first.column("f1"), found.column("f1"), first.clusters)
        for name, found in scores.items()
        if name != VECTORS.name
    }
    return table | {"vectors_f1_above": _column(above)}


def _column(found: Mapping[str, Interval]) -> Table:
    rounded = {name: part.rounded(DIGITS) for name, part in found.items()}
    return {name: part.value for name, part in rounded.items()} | {"intervals": {name: part.bounds for name, part in rounded.items()}}


def sentence(table: Table) -> str:
    """What a part shows, in words."""
    above = table["vectors_f1_above"]
    said = []
    for name, (low, high) in above["intervals"].items():
        shown = "above" if low > 0 else "below" if high < 0 else "not to be told from"
        said.append(f"{shown} {IN_WORDS[name]} ({table['f1'][name]:.1f}; by {above[name]:.1f}, {low:.1f} to {high:.1f})")
    asked, reached = f"{table['questions']} questions about {table['documents']} documents", table["f1"]["vectors"]
    return f"On {asked} the adapter on vectors reaches F1 {reached:.1f}: {'; '.join(said)}."
