"""FairytaleQA as a corpus with human questions: `python examples/fairytaleqa.py DATA OUT [--stories N]`.

DATA is a checkout of the FairytaleQA data (github uci-soe/FairytaleQAData, Apache-2.0). Writes one text file per story
into OUT/stories, all in one folder so that groups are found by clustering, the training questions of these stories into
OUT/questions.jsonl, and a few held-back questions into OUT/closing.jsonl.
"""

from __future__ import annotations

import argparse
import json
from itertools import groupby, islice
from pathlib import Path

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets.fairytaleqa import load

CLOSING_STORIES = 4


def main() -> None:
    """Convert the first stories of the test split."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stories", type=int, default=12)
    options = parser.parse_args()
    try:
        test = load(options.data)
    except DatasetError as error:
        parser.error(str(error))
    by_story = {name: list(asked) for name, asked in groupby(test, key=lambda example: example.document_id)}
    (options.out / "stories").mkdir(parents=True, exist_ok=True)
    training, closing = [], []
    for name, examples in islice(by_story.items(), options.stories):
        (options.out / "stories" / f"{name}.txt").write_text(examples[0].document, encoding="utf-8")
        questions = [{"uri": f"{name}.txt", "question": example.question, "answer": example.references[0]} for example in examples]
        closing.append(questions[0] | {"document": questions[0]["uri"]})
        training += questions[1:]
    _write(options.out / "questions.jsonl", training)
    _write(options.out / "closing.jsonl", closing[:CLOSING_STORIES])


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
