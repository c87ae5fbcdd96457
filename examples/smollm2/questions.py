"""Questions by people as training and test files: SQuAD articles, FairytaleQA stories, and sets in the format of `text.questions`.

    python examples/smollm2/questions.py --qa FOLDER --squad dev-v1.1.json --fairytaleqa FOLDER OUTPUT

writes `train.jsonl.gz` and `test.jsonl.gz`. Whole documents are held out, with all versions of the same text (`group`): half of the SQuAD
articles, the test stories of FairytaleQA, and of the other sets the share `HELD_OUT`, chosen by a hash.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lloco_core.encoder_training.text.stream import place_of

Document = dict[str, Any]

HELD_OUT = 0.15
HELD_OUT_ARTICLES = 0.5
LEFT_OUT = ("medquad", "onestopqa")
"""Whole sections as answers; a choice of four."""
SECTIONS = "data-by-train-split/section-stories"


def main() -> None:
    """Write both files and say what is in them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--qa", type=Path, required=True, help="folder of .jsonl.gz in the format of text.questions")
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--fairytaleqa", type=Path, required=True)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    documents = [*_squad(options.squad), *_fairytales(options.fairytaleqa), *_sets(options.qa)]
    for split in ("train", "test"):
        chosen = [document for document in documents if document["split"] == split]
        with gzip.open(options.output / f"{split}.jsonl.gz", "wt", encoding="utf-8", compresslevel=9) as file:
            file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in chosen)
        print(f"{split}: {len(chosen)} documents, {sum(len(document['questions']) for document in chosen)} questions")


def _squad(path: Path) -> Iterator[Document]:
    """A paragraph is a document, its article the group."""
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        split = "test" if place_of(article["title"]) < HELD_OUT_ARTICLES else "train"
        for number, paragraph in enumerate(article["paragraphs"]):
            asked = [_span(item["question"], [answer["text"] for answer in item["answers"]]) for item in paragraph["qas"]]
            yield _document("squad", f"{article['title']}/{number}", paragraph["context"], asked, split, article["title"])


def _fairytales(folder: Path) -> Iterator[Document]:
    """A section is a document, its story the group; questions about several sections are left out."""
    for kind, split in (("train", "train"), ("test", "test")):
        for path in sorted((folder / SECTIONS / kind).glob("*.csv")):
            name = path.name.removesuffix("-story.csv")
            questions = _by_section(folder / "data-by-train-split" / "questions" / kind / f"{name}-questions.csv")
            for row in _rows(path):
                asked = questions.get(row["section"], [])
                yield _document("fairytaleqa", f"{name}/{row['section']}", row["text"], asked, split, name)


def _by_section(path: Path) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for row in _rows(path):
        answers = [row[f"answer{number}"] for number in range(1, 7) if row.get(f"answer{number}")]
        kind = "span" if row["ex-or-im1"] == "explicit" else "abstractive"
        found.setdefault(row["cor_section"], []).append({"question": row["question"], "answers": answers, "answerable": True, "kind": kind})
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _sets(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        name = path.name.partition(".")[0]
        if name in LEFT_OUT:
            continue
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                group = row.get("group") or row["id"]
                split = "test" if place_of(f"{name}/{group}") < HELD_OUT else "train"
                yield _document(name, row["id"], row["text"], row["questions"], split, group)


def _span(question: str, answers: list[str]) -> Document:
    return {"question": question.strip(), "answers": list(dict.fromkeys(answers)), "answerable": True, "kind": "span"}


def _document(source: str, name: str, text: str, questions: list[Document], split: str, group: str) -> Document:
    return {"id": f"{source}/{name}", "source": source, "group": group, "split": split, "text": text, "questions": questions}


if __name__ == "__main__":
    main()
