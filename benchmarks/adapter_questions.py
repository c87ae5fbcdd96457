"""Questions that adapters are trained on and others, about other documents, that they are asked.

| part | trained on | asked |
|---|---|---|
| style | questions by rule, of styles that encoder training left out, about documents that it read | the same about held-out documents |
| FairytaleQA | stories of `train` | stories of `test` |
| SQuAD | half of the articles | the other half, and the other way round: intervals are over articles, and there are few |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.adapting import QuestionSet
from lloco_core.evaluation.datasets import fairytaleqa, squad
from lloco_core.evaluation.datasets.example import Example
from lloco_core.evaluation.rule_questions import build_rule_cases

if TYPE_CHECKING:
    from benchmarks.reference import Kind
    from lloco_core.compressor import ContextEncoder
    from lloco_core.encoder_training.text.cache import Split
    from lloco_core.encoder_training.text.tokens import TextTokenizer

TRAIN_DOCUMENTS, TEST_DOCUMENTS = 512, 128
"""Of every kind of text, at scale 1."""
FEWEST = 4
"""Documents of a data set: two for each of two halves."""
TOKENS_PER_ANSWER: dict[Split, int] = {"train": 192, "validation": 384}
"""Tokens of a piece for every question about it: more documents with fewer questions give the test narrower intervals."""


class Fold(NamedTuple):
    """No document is in both."""

    train: QuestionSet
    test: QuestionSet


@dataclass(frozen=True, slots=True)
class Counts:
    """Documents of every kind of text, and the share of the data sets' documents."""

    train: int
    test: int
    share: float

    @classmethod
    def at(cls, scale: float) -> Counts:
        """Everything at 1; never fewer than two documents to ask about, as intervals need them."""
        return cls(max(2, round(scale * TRAIN_DOCUMENTS)), max(2, round(scale * TEST_DOCUMENTS)), min(1.0, scale))


def left_out_style(kinds: Sequence[Kind], tokenizer: TextTokenizer, counts: Counts) -> Fold:
    """Of the styles in the kinds' `held_out_styles`.

    Raises:
        DatasetError: a kind's documents are too short, or no style is left out.
    """
    return Fold(_by_rule(kinds, tokenizer, "train", counts.train), _by_rule(kinds, tokenizer, "validation", counts.test))


def fairytale_fold(folder: Path, encoder: ContextEncoder, counts: Counts) -> Fold:
    """Of a checkout of FairytaleQA."""
    return Fold(*(_tokenised(_first_documents(fairytaleqa.load(folder, split), counts), encoder) for split in ("train", "test")))


def squad_folds(path: Path, encoder: ContextEncoder, counts: Counts) -> list[Fold]:
    """Of a file of SQuAD 1.1: every article is asked about once."""
    examples = _first_documents(squad.load(path), counts)
    titles = sorted({example.document_id for example in examples})
    halves = [_tokenised([example for example in examples if example.document_id in titles[half::2]], encoder) for half in (0, 1)]
    return [Fold(*halves), Fold(*halves[::-1])]


def _by_rule(kinds: Sequence[Kind], tokenizer: TextTokenizer, split: Split, n_documents: int) -> QuestionSet:
    examples, tokens = [], {}
    for kind in kinds:
        curriculum = kind.config.curriculum.model_copy(update={"tokens_per_answer": TOKENS_PER_ANSWER[split]})
        text = kind.config.model_copy(update={"curriculum": curriculum})
        for case in build_rule_cases(kind.cache, text, tokenizer, "held_out_f1", n_documents, split=split):
            name = f"{kind.name}/{case.document_id}"
            tokens[name] = case.token_ids_T
            examples.append(Example(name, "", f"{kind.name}/{case.case_id}", case.question, (case.answer,), name, "f1"))
    return QuestionSet(examples, tokens)


def _first_documents(examples: list[Example], counts: Counts) -> list[Example]:
    names = list(dict.fromkeys(example.document_id for example in examples))
    chosen = set(names[: max(FEWEST, round(counts.share * len(names)))])
    return [example for example in examples if example.document_id in chosen]


def _tokenised(examples: list[Example], encoder: ContextEncoder) -> QuestionSet:
    documents = {example.document_id: example.document for example in examples}
    return QuestionSet(examples, {name: encoder.tokenize(text)[0] for name, text in documents.items()})
