"""Inserted facts and literal questions, made by the rules of the training curriculum on documents that were never trained on.

A document here is a piece of a held-out one, as long as all others; facts stand in it as they do in training, and every question is
asked behind all of it. Facts are scored by exact match, literal questions by token F1.

| table | asks |
|---|---|
| `facts_em` | facts of known words and short numbers |
| `rare_facts_em` | facts of made-up strings, of many tokens each |
| `literal_f1` | literal questions of the styles that training asks |
| `held_out_f1` | literal questions of the styles that it leaves out |

Shape suffixes: N questions, T tokens.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lloco_core.encoder_training.text.config import FACT_STYLES, LITERAL_STYLES
from lloco_core.encoder_training.text.curriculum import Curriculum
from lloco_core.errors import DatasetError
from lloco_core.evaluation.answers import exact_match, token_f1
from lloco_core.evaluation.asking import Asking
from lloco_core.evaluation.intervals import Bootstrap, interval

if TYPE_CHECKING:
    from lloco_core.compressor.encoder import ContextEncoder
    from lloco_core.config import AnswerConfig
    from lloco_core.encoder_training.text.cache import Split, TokenCache
    from lloco_core.encoder_training.text.config import CurriculumConfig, Style, TextConfig
    from lloco_core.encoder_training.text.curriculum import Task
    from lloco_core.encoder_training.text.tokens import TextTokenizer
    from lloco_core.evaluation.asking import Context

ROW_TOKENS = 3072
"""Two published segments; with question and answer within 4,096 positions, so that the full text can be read too."""
RuleTable = Literal["facts_em", "rare_facts_em", "literal_f1", "held_out_f1"]
TABLES: tuple[RuleTable, ...] = get_args(RuleTable)
FACT_TABLES: tuple[RuleTable, ...] = ("facts_em", "rare_facts_em")
FACT_CONTEXTS: tuple[Context, ...] = ("vectors", "wrong", "none")
LITERAL_CONTEXTS: tuple[Context, ...] = ("vectors", "wrong", "none", "full_text")
DIGITS = 2


@dataclass(frozen=True, slots=True)
class RuleCase:
    """A question about a piece of a document."""

    case_id: str
    document_id: str
    token_ids_T: np.ndarray
    """The piece, facts included; shared by its cases."""
    question: str
    answer: str
    style: str
    table: RuleTable


def styles_of(table: RuleTable, curriculum: CurriculumConfig) -> tuple[Style, ...]:
    """What a table asks; none where the curriculum holds no style, or every style, out."""
    styles = FACT_STYLES if table in FACT_TABLES else LITERAL_STYLES
    return tuple(style for style in styles if (style in curriculum.held_out_styles) == (table == "held_out_f1"))


def build_rule_cases(
    cache: TokenCache,
    text: TextConfig,
    tokenizer: TextTokenizer,
    table: RuleTable,
    n_documents: int,
    row_tokens: int = ROW_TOKENS,
    split: Split = "validation",
) -> list[RuleCase]:
    """Questions for one table about one piece each of up to `n_documents` documents, drawn with the seed of the text.

    Args:
        cache: the text.
        text: its configuration: share, seed, and the curriculum that says which styles training asks.
        tokenizer: of the encoder.
        table: one with `styles_of`.
        n_documents: wanted.
        row_tokens: of a piece.
        split: `validation` asks about held-out documents; `train` about those that were trained on, as rows for an adapter.

    Raises:
        DatasetError: no such document is long enough, none suits a rule, or the curriculum leaves the table no style.
    """
    styles = styles_of(table, text.curriculum)
    if not styles:
        raise DatasetError(f"{table} has no styles: curriculum.held_out_styles is {list(text.curriculum.held_out_styles)}; leave it out")
    among = cache.documents(split, text.validation)
    documents = among[cache.n_tokens[among] >= row_tokens]
    changes = {"older": 0.0, "familiar": float(table == "facts_em")}
    curriculum = Curriculum(text.curriculum.only(*styles).model_copy(update=changes), tokenizer)
    names = cache.ids()
    drawn = np.random.default_rng(text.seed).permutation(documents)[:n_documents].tolist()
    rows = ((names[number], *_asked(names[number], _document(cache, number), row_tokens, curriculum, text.seed)) for number in drawn)
    cases = [
        RuleCase(f"{table}/{name}/{task.style}/{order}", name, row_T, task.question, task.answer, task.style, table)
        for name, row_T, tasks in rows
        for order, task in enumerate(tasks)
    ]
    if not cases:
        kind = "held-out" if split == "validation" else "training"
        raise DatasetError(
            f"{len(documents)} of {len(among)} {kind} documents have {row_tokens} tokens, and no question of the styles {list(styles)} "
            "comes from them; raise text.validation, add longer documents, or lower row_tokens"
        )
    return cases


def _document(cache: TokenCache, number: int) -> np.ndarray:
    return cache.tokens[int(cache.starts[number]) : int(cache.starts[number + 1])]


def _asked(name: str, ids_T: np.ndarray, row_tokens: int, curriculum: Curriculum, seed: int) -> tuple[np.ndarray, list[Task]]:
    rng = random.Random(f"{seed} {name}")  # noqa: S311 (reproducible, not secret)
    start = rng.randint(0, len(ids_T) - row_tokens)
    asked = curriculum.ask(ids_T[start : start + row_tokens].astype(np.int64), rng)
    return asked.row_T, asked.tasks


def measure_rule_questions(
    encoder: ContextEncoder,
    cases: Sequence[RuleCase],
    config: AnswerConfig,
    contexts: Sequence[Context] | None = None,
    batch: int = 16,
    bootstrap: Bootstrap = Bootstrap(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Ask in every context and score: every table that the cases hold; see `rule_table`.

    Args:
        contexts: None: those of each kind in the checkpoint's table.
    """
    tables = {}
    for table in TABLES:
        if chosen := [case for case in cases if case.table == table]:
            asking = Asking(encoder, chosen, config, batch)
            asked = contexts or (FACT_CONTEXTS if table in FACT_TABLES else LITERAL_CONTEXTS)
            tables[table] = rule_table(chosen, {context: asking.answers(context) for context in asked}, bootstrap)
    return tables


def rule_table(cases: Sequence[RuleCase], answers: Mapping[str, Mapping[str, str]], bootstrap: Bootstrap = Bootstrap()) -> dict[str, Any]:  # noqa: B008
    """Mean score x 100 of every context's answers (by case id), as result files hold it.

    Returns:
        The mean per context, `intervals` with [low, high] over documents per context, `by_style` with the means per style and context,
        `cases`, and `documents`.

    Raises:
        DatasetError: a case has no answer.
        ConfigurationError: all cases are about one document.
    """
    names, styles_N = [case.document_id for case in cases], np.array([case.style for case in cases])
    scores = {context: _scores(cases, found) for context, found in answers.items()}
    whole = {context: interval(scores_N, names, bootstrap=bootstrap).rounded(DIGITS) for context, scores_N in scores.items()}
    return {context: part.value for context, part in whole.items()} | {
        "intervals": {context: part.bounds for context, part in whole.items()},
        "by_style": {
            style: {context: round(float(scores_N[styles_N == style].mean()), DIGITS) for context, scores_N in scores.items()}
            | {"cases": int((styles_N == style).sum())}
            for style in sorted(set(styles_N.tolist()))
        },
        "cases": len(cases),
        "documents": len(set(names)),
    }


def _scores(cases: Sequence[RuleCase], answers: Mapping[str, str]) -> np.ndarray:
    if missing := [case.case_id for case in cases if case.case_id not in answers]:
        raise DatasetError(f"{len(missing)} of {len(cases)} questions have no answer, the first is {missing[0]!r}; answer all, if with ''")
    measures = [exact_match if case.style in FACT_STYLES else token_f1 for case in cases]
    return 100 * np.array([measure(answers[case.case_id], [case.answer]) for measure, case in zip(measures, cases, strict=True)])
