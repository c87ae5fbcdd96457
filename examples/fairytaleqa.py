"""FairytaleQA as a corpus with human questions: `python examples/fairytaleqa.py DATA OUT [--stories N]`.

DATA is a checkout of the FairytaleQA data (github uci-soe/FairytaleQAData, Apache-2.0). Writes one text file per story
into OUT/stories, all in one folder so that groups are found by clustering, the training questions of these stories into
OUT/questions.jsonl, and a few held-back questions into OUT/closing.jsonl.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

CLOSING_STORIES = 4


def main() -> None:
    """Convert the first stories of the test split."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stories", type=int, default=12)
    options = parser.parse_args()
    base = options.data / "data-by-train-split"
    stories = sorted((base / "section-stories" / "test").glob("*-story.csv"))[: options.stories]
    if not stories:
        parser.error(f"{base} holds no stories; give the folder that contains data-by-train-split")
    (options.out / "stories").mkdir(parents=True, exist_ok=True)
    training, closing = [], []
    for path in stories:
        name = path.name.removesuffix("-story.csv")
        text = "\n\n".join(row["text"] for row in _rows(path))
        (options.out / "stories" / f"{name}.txt").write_text(text, encoding="utf-8")
        questions = [_question(name, row) for row in _rows(base / "questions" / "test" / f"{name}-questions.csv")]
        closing.append(questions[0] | {"document": questions[0]["uri"]})
        training += questions[1:]
    _write(options.out / "questions.jsonl", training)
    _write(options.out / "closing.jsonl", closing[:CLOSING_STORIES])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def _question(name: str, row: dict[str, str]) -> dict[str, str]:
    return {"uri": f"{name}.txt", "question": row["question"], "answer": row["answer1"]}


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
