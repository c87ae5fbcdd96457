"""The model card's table: every figure that a result holds, its interval, and nothing that it does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import reference_report
from benchmarks.reference_report import adapters_block, block


def with_intervals(**figures: float) -> dict[str, Any]:
    return figures | {"intervals": {name: [value - 1, value + 1] for name, value in figures.items()}}


def measured(needle: float) -> dict[str, Any]:
    return {
        "needle": {
            "mean": needle,
            "by_depth": {"0": 0.5, "0.5": 0.25, "1": 1.0},
            "by_length": {"1500": 1.0, "32000": 0.5},
            "intervals": {
                "mean": [0.1, 0.9],
                "by_depth": {"0": [0.4, 0.6], "0.5": [0.2, 0.3], "1": [1, 1]},
                "by_length": {"1500": [1, 1], "32000": [0, 1]},
            },
            "cases": 66,
            "haystacks": 6,
        },
        "facts_em": with_intervals(vectors=92.25, wrong=4, none=2),
        "literal_f1": with_intervals(vectors=33, wrong=5, none=6, full_text=38.5) | {"cases": 120, "documents": 40},
        "perplexity": with_intervals(base_none=23, none=23.5, damage=1.02),
    }


ABOUT = {
    "hardware": {"gpu": "Some card", "cores": 4},
    "dtype": "bfloat16",
    "versions": {"torch": "2.11", "transformers": "5.17"},
    "commit": "0123456789",
    "command": "python -m benchmarks.reference --model x",
}


def rows_of(text: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in rows}


def test_every_figure_stands_beside_its_interval_and_what_it_is_compared_with():
    text = block(measured(0.5) | ABOUT | {"untrained": {"needle": measured(0)["needle"]}})
    rows = rows_of(text)
    assert rows[""] == ["this checkpoint", "untrained encoder"]
    assert rows["needles found in 1.5k to 32k tokens"] == ["0.5 [0.1, 0.9]", "0 [0.1, 0.9]"]
    assert rows["needles: the worst depth"] == ["0.25 [0.2, 0.3]"] * 2
    assert rows["facts of known words, exact match: vectors"] == ["92.2 [91.2, 93.2]", ""]
    assert rows["literal questions, F1: full text"] == ["38.5 [37.5, 39.5]", ""]
    assert rows["perplexity without context, against the language model it came from"][0] == "1.02 [0.02, 2.02]"
    assert "66 needles in 6 haystacks, 120 literal questions about 40 documents" in text
    assert "Some card, bfloat16, torch 2.11, transformers 5.17, commit 0123456:\n`python -m benchmarks.reference --model x`" in text


def test_what_was_not_measured_has_no_row():
    rows = rows_of(block(measured(0.5) | ABOUT))
    assert rows["needles in 32k tokens"] == ["0.5 [0, 1]"]
    short = measured(0.5) | ABOUT
    short["needle"] = short["needle"] | {"by_length": {"1500": 1.0}}
    assert "needles found in 1.5k tokens" in rows_of(block(short))
    assert "needles in 32k tokens" not in rows_of(block(short))
    assert not [title for title in rows if title.startswith(("facts of made-up", "a style"))]


def test_the_card_gets_the_table_and_a_sentence_for_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    card = tmp_path / "README.md"
    card.write_text(
        "# Card\n<!-- reference:start -->\nold\n<!-- reference:end -->\n\n<!-- adapters:start -->\n<!-- adapters:end -->\nend\n"
    )
    adapters = {"squad": {"says": "On 3 questions it reaches F1 4.0."}, "command": "python -m benchmarks.adapters"}
    (tmp_path / "reference.json").write_text(json.dumps(measured(0.5) | ABOUT))
    (tmp_path / "adapters.json").write_text(json.dumps(adapters))
    monkeypatch.setattr(reference_report, "CARD", card)
    monkeypatch.setattr(reference_report, "RESULTS", tmp_path)
    reference_report.main()
    text = card.read_text()
    assert text.startswith("# Card\n") and text.endswith("\nend\n") and "old" not in text
    assert block(measured(0.5) | ABOUT) in text
    assert adapters_block(adapters) in text
    assert "- SQuAD, the paragraphs of an article as one document. On 3 questions it reaches F1 4.0.\n" in text
    assert "FairytaleQA" not in text
