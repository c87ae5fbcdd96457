"""The table of `reference.py` as a model card shows it: every figure with its interval, the checkpoint beside what it is compared with.

`python -m benchmarks.reference_report` puts it, and the sentences of `adapters.py`, into the card of the packaged checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import ROOT, between

CARD = ROOT / "lloco_core" / "models" / "reference" / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
TABLE = "<!-- reference:start -->", "<!-- reference:end -->"
ADAPTERS = "<!-- adapters:start -->", "<!-- adapters:end -->"
PARTS = {
    "left_out_style": "A style of questions that encoder training left out",
    "fairytaleqa": "FairytaleQA, questions by people about stories",
    "squad": "SQuAD, the paragraphs of an article as one document",
}
"""Parts of `adapters.json`, and what they are asked about."""
Table = Mapping[str, Any]
Figure = tuple[float, list[float] | None]
"""A value and [low, high]; None where no interval was drawn."""
COMPARED = {"untrained": "untrained encoder", "icae": "ICAE"}
"""Further tables of a result, and their titles."""


def block(result: Table) -> str:
    """Markdown of a result file: the table, and what was measured where."""
    tables = {"this checkpoint": result} | {title: result[name] for name, title in COMPARED.items() if name in result}
    lines = [f"| | {' | '.join(tables)} |", "|---" * (1 + len(tables)) + "|"]
    for title, figure in FIGURES.items():
        cells = [_cell(table, figure) for table in tables.values()]
        if any(cells):
            lines.append(f"| {title.format(lengths=_lengths(result))} | {' | '.join(cells)} |")
    taken = [f"{title}: {_run(table['measured'])}." for title, table in tables.items() if "measured" in table]
    return "\n".join([*lines, "", *(f"Measured earlier. {line}" for line in taken), *([""] if taken else []), _measured(result)])


def adapters_block(result: Table) -> str:
    """Markdown of the result file of `adapters.py`: a sentence for every part."""
    lines = [f"- {title}. {result[part]['says']}" for part, title in PARTS.items() if part in result]
    return "\n".join(
        [*lines, "", f'Behind "by": how far it is above, with a 95 % bootstrap interval over documents.\n`{result["command"]}`']
    )


def _lengths(result: Table) -> str:
    lengths = [f"{int(length) / 1000:g}k" for length in result["needle"]["by_length"]]
    return " to ".join(dict.fromkeys((lengths[0], lengths[-1])))


def _measured(result: Table) -> str:
    needle, literal = result["needle"], result["literal_f1"]
    return (
        f"In brackets: 95 % bootstrap intervals over documents. {needle['cases']} needles in {needle['haystacks']} haystacks, "
        f"{literal['cases']} literal questions about {literal['documents']} documents, none of them trained on. {_run(result)}:\n"
        f"`{result['command']}`"
    )


def _run(about: Table) -> str:
    """Where something was measured."""
    hardware, versions = about["hardware"], about["versions"]
    where = hardware.get("gpu") or f"{hardware['cores']} cores"
    return f"{where}, {about['dtype']}, torch {versions['torch']}, transformers {versions['transformers']}, commit {about['commit'][:7]}"


def _cell(table: Table, figure: Callable[[Table], Figure]) -> str:
    try:
        value, bounds = figure(table)
    except KeyError:
        return ""
    return f"{value:.3g} [{bounds[0]:.3g}, {bounds[1]:.3g}]" if bounds else f"{value:.3g}"


def _of(group: str, name: str) -> Callable[[Table], Figure]:
    return lambda table: (table[group][name], table[group]["intervals"].get(name))


def _needle(part: str, key: str) -> Callable[[Table], Figure]:
    return lambda table: (table["needle"][part][key], table["needle"]["intervals"][part][key])


def _worst_depth(table: Table) -> Figure:
    depths = table["needle"]["by_depth"]
    return _needle("by_depth", min(depths, key=depths.__getitem__))(table)


def _read(group: str, what: str, conditions: Mapping[str, str]) -> dict[str, Callable[[Table], Figure]]:
    return {f"{what}: {words}": _of(group, name) for name, words in conditions.items()}


_ASKED = {"vectors": "vectors", "wrong": "another document's vectors", "none": "question only"}
_SEGMENTS = {f"vectors_{count}": f"behind {count} compressed segment{'s' * (count > 1)}" for count in (1, 2, 3)}
FIGURES: dict[str, Callable[[Table], Figure]] = {
    "needles found in {lengths} tokens": _of("needle", "mean"),
    "needles: the worst depth": _worst_depth,
    "needles: the very first sentence": _needle("by_depth", "0"),
    "needles in 32k tokens": _needle("by_length", "32000"),
    **_read("facts_em", "facts of known words, exact match", _ASKED),
    **_read("rare_facts_em", "facts of made-up names, exact match", _ASKED),
    **_read("literal_f1", "literal questions, F1", _ASKED | {"full_text": "full text"}),
    **_read("held_out_f1", "a style that training left out, F1", _ASKED | {"full_text": "full text"}),
    **_read("perplexity", "perplexity, language model it came from", {"base_none": "no context", "base_text": "1,536 tokens of text"}),
    **_read(
        "perplexity", "perplexity", {"none": "no context", "text": "one segment as text"} | _SEGMENTS | {"wrong": "another document's"}
    ),
    "perplexity without context, against the language model it came from": _of("perplexity", "damage"),
    "share of the text's gain that its vectors keep": _of("perplexity", "kept_gain"),
}
"""What a row of the table shows."""


def main() -> None:
    """Bring the card up to date."""
    card = CARD.read_text()
    for markers, rendered, name in ((TABLE, block, "reference.json"), (ADAPTERS, adapters_block, "adapters.json")):
        card = between(card, *markers, rendered(json.loads((RESULTS / name).read_text())))
    CARD.write_text(card)


if __name__ == "__main__":
    main()
