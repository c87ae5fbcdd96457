"""Loaders on small made files: every layout that is read, and errors that name file, row, and what is missing.

Of Qasper, NarrativeQA, LongBench, the released QuALITY, and the official HotpotQA no published file was at hand: these tests hold
the loaders to the described layouts, no more.
"""

import csv
import json
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from lloco_core.errors import DatasetError
from lloco_core.evaluation.datasets import fairytaleqa, hotpotqa, longbench, narrativeqa, qasper, qmsum, quality, squad, squality


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_json(path, value):
    path.write_text(json.dumps(value))
    return path


def write_csv(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fairytale(folder, **question):
    base = folder / "data-by-train-split"
    write_csv(base / "section-stories/test/fox-story.csv", {"section": 1, "text": "A fox."}, {"section": 2, "text": "It ran."})
    row = {"question_id": 1, "question": "Who ran?", "answer1": "a fox", "answer2": "", "answer4": "the fox"} | question
    write_csv(base / "questions/test/fox-questions.csv", row)
    return folder


def squality_row(**changes):
    asked = {"question_text": "What?", "question_number": 1, "responses": [{"response_text": "This."}]} | changes
    return {"metadata": {"passage_id": "7"}, "document": "A story.", "questions": [asked]}


MEETING = {
    "meeting_transcripts": [{"speaker": "A", "content": "Hello ."}, {"speaker": "B", "content": " "}],
    "general_query_list": [{"query": "Summarize.", "answer": "A greets."}],
    "specific_query_list": [],
}
OFFICIAL_HOTPOT = {"_id": "x", "question": "Who?", "answer": "Z", "context": [["B", ["One.", " Two."]], ["A", ["Three."]]]}
PAPER_ANSWERS = [
    {"unanswerable": True, "extractive_spans": [], "yes_no": None, "free_form_answer": ""},
    {"unanswerable": False, "extractive_spans": ["one", "two"], "yes_no": None, "free_form_answer": ""},
    {"unanswerable": False, "extractive_spans": [], "yes_no": None, "free_form_answer": "Some words"},
    {"unanswerable": False, "extractive_spans": [], "yes_no": False, "free_form_answer": ""},
]
PAPER_REFERENCES = ("Unanswerable", "one, two", "Some words", "No")


def test_fairytaleqa_passes_over_empty_answers(tmp_path):
    (example,) = fairytaleqa.load(fairytale(tmp_path))
    assert (example.document, example.references) == ("A fox.\n\nIt ran.", ("a fox", "the fox"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, r"fox-questions.csv, row 1: no 'question', expected a string; the row has question_id, answer1"),
        ({"answer1": "", "answer4": ""}, r"fox-questions.csv, row 1: no answer; expected one in answer1 to answer6"),
    ],
)
def test_bad_rows_of_fairytaleqa_are_named(tmp_path, change, message):
    with pytest.raises(DatasetError, match=message):
        fairytaleqa.load(fairytale(tmp_path, **change))


def test_a_missing_split_or_file_says_what_to_give(tmp_path):
    with pytest.raises(DatasetError, match="section-stories/val holds no stories; give the folder that contains data-by-train-split"):
        fairytaleqa.load(fairytale(tmp_path), "val")
    with pytest.raises(DatasetError, match=r"gone.json cannot be read: No such file or directory; give the path"):
        squad.load(tmp_path / "gone.json")
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(DatasetError, match=r"latin.jsonl is not UTF-8 at byte 7; convert it"):
        squality.load(tmp_path / "latin.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DatasetError, match=r"empty.jsonl holds no questions"):
        squality.load(tmp_path / "empty.jsonl")


def test_bad_rows_of_squad_are_named(tmp_path):
    asked = {"id": "1", "question": "Who?", "answers": []}
    path = write_json(tmp_path / "dev.json", {"data": [{"title": "T", "paragraphs": [{"context": "C", "qas": [asked]}]}]})
    with pytest.raises(DatasetError, match=r"dev.json, data\[0\], paragraphs\[0\], qas\[0\]: 'answers' is empty"):
        squad.load(path)
    write_json(path, {"data": [{"title": "T", "paragraphs": [{"qas": []}]}]})
    with pytest.raises(DatasetError, match=r"dev.json, data\[0\], paragraphs\[0\]: no 'context', expected a string; the row has qas"):
        squad.load(path)
    write_json(path, {"data": [3]})
    with pytest.raises(DatasetError, match=r"dev.json, data\[0\] is int, expected an object"):
        squad.load(path)


def test_bad_rows_of_squality_are_named(tmp_path):
    good = squality_row()
    path = write_lines(tmp_path / "dev.jsonl", good, squality_row(responses=[{"response_text": 5}]))
    with pytest.raises(DatasetError, match=r"dev.jsonl, row 2, questions\[0\], responses\[0\]: 'response_text' is int '5', expected"):
        squality.load(path)
    path.write_text(json.dumps(good) + "\n{broken\n")
    with pytest.raises(DatasetError, match=r"dev.jsonl, row 2: not JSON"):
        squality.load(path)
    with pytest.raises(DatasetError, match=r"two different questions have the id '7/1'"):
        squality.load(write_lines(path, good, squality_row(question_text="Another?")))
    assert len(squality.load(write_lines(path, good, good))) == 1


def test_qmsum_leaves_silent_turns_out(tmp_path):
    (example,) = qmsum.load(write_lines(tmp_path / "val.jsonl", MEETING))
    assert (example.document, example.document_id) == ("A: Hello .", "val-001")
    incomplete = {name: value for name, value in MEETING.items() if name != "specific_query_list"}
    with pytest.raises(DatasetError, match=r"val.jsonl, row 1: no 'specific_query_list', expected a list of objects"):
        qmsum.load(write_lines(tmp_path / "val.jsonl", incomplete))


def test_the_released_layout_of_quality(tmp_path):
    asked = {"question": "Why?", "question_unique_id": "u1", "options": ["a", "b", "c", "d"], "gold_label": 4}
    row = {"article_id": "52", "article": "Plain words.", "questions": [asked]}
    (example,) = quality.load(write_lines(tmp_path / "dev.jsonl", row))
    assert (example.question, example.references, example.document) == ("Why?\nA. a\nB. b\nC. c\nD. d", ("D",), "Plain words.")
    hidden = {name: value for name, value in asked.items() if name != "gold_label"}
    with pytest.raises(DatasetError, match=r"dev.jsonl, row 1, questions\[0\]: no 'gold_label', expected a whole number"):
        quality.load(write_lines(tmp_path / "dev.jsonl", row | {"questions": [hidden]}))
    with pytest.raises(DatasetError, match=r"row 1, u1: 4 options and gold label 5; expected 4 and 1 to 4"):
        quality.load(write_lines(tmp_path / "dev.jsonl", row | {"questions": [asked | {"gold_label": 5}]}))


def test_the_official_layout_of_hotpotqa(tmp_path):
    (example,) = hotpotqa.load(write_json(tmp_path / "dev.json", [OFFICIAL_HOTPOT]))
    assert example.document == "B\nOne. Two.\n\nA\nThree."
    with pytest.raises(DatasetError, match=r"dev.json, row 1, context\[1\]: expected \[title, \[sentence, ...\]\]"):
        hotpotqa.load(write_json(tmp_path / "dev.json", [OFFICIAL_HOTPOT | {"context": [["B", ["One."]], ["A", "Three."]]}]))
    with pytest.raises(DatasetError, match=r"dev.json is no JSON list"):
        hotpotqa.load(write_json(tmp_path / "dev.json", OFFICIAL_HOTPOT))


def test_both_layouts_of_qasper_are_one(tmp_path):
    asked = {"question": "Which?", "question_id": "q1", "answers": [{"answer": answer} for answer in PAPER_ANSWERS]}
    paper = {"title": "Title", "abstract": "About.", "qas": [asked], "full_text": [{"section_name": "Intro", "paragraphs": ["One.", ""]}]}
    (released,) = qasper.load(write_json(tmp_path / "papers.json", {"2101.1": paper}))
    assert released.references == PAPER_REFERENCES
    assert released.document == "Title\n\nAbout.\n\nIntro\nOne."
    columns = paper | {
        "id": "2101.1",
        "full_text": {"section_name": ["Intro"], "paragraphs": [["One.", ""]]},
        "qas": {"question": ["Which?"], "question_id": ["q1"], "answers": [{"answer": PAPER_ANSWERS}]},
    }
    (tmp_path / "qasper/test").mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist([columns]), tmp_path / "qasper/test/0000.parquet")
    assert qasper.load(tmp_path) == [released]
    paper["qas"][0]["answers"] = [{"answer": {"unanswerable": False}}]
    with pytest.raises(DatasetError, match=r"papers.json, 2101.1, qas\[0\], answers\[0\], answer: neither unanswerable, "):
        qasper.load(write_json(tmp_path / "papers.json", {"2101.1": paper}))


def test_narrativeqa_numbers_the_questions_of_a_book(tmp_path):
    rows = [{"document": {"id": "b", "text": "A book."}, "question": {"text": f"Q{n}?"}, "answers": [{"text": " x "}]} for n in (1, 2)]
    (tmp_path / "data").mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "data/test-00000-of-00001.parquet")
    first, second = narrativeqa.load(tmp_path)
    assert (first.question_id, second.question_id, second.question, second.references) == ("b/1", "b/2", "Q2?", ("x",))
    assert first.document is second.document
    del rows[1]["question"]
    with pytest.raises(DatasetError, match=r"rows.jsonl, row 2: no 'question', expected an object; the row has document, answers"):
        narrativeqa.load(write_lines(tmp_path / "rows.jsonl", *rows))
    with pytest.raises(DatasetError, match=r"has no file \*\*/train-\*.parquet"):
        narrativeqa.load(tmp_path, "train")


def test_longbench_from_a_file_and_from_its_archive(tmp_path):
    row = {"input": "", "context": "A report.", "answers": ["Short."], "_id": "7", "length": 2}
    path = write_lines(tmp_path / "gov_report.jsonl", row)
    (example,) = longbench.load("gov_report", path)
    assert (example.question, example.measure, example.references) == ("", "rouge", ("Short.",))
    (tmp_path / "hub").mkdir()
    with zipfile.ZipFile(tmp_path / "hub/data.zip", "w") as archive:
        archive.write(path, "data/gov_report.jsonl")
    assert longbench.load("gov_report", tmp_path / "hub") == [example]
    with pytest.raises(DatasetError, match=r"data.zip holds no qasper.jsonl; it has data/gov_report.jsonl"):
        longbench.load("qasper", tmp_path / "hub")
    with pytest.raises(DatasetError, match="task 'lcc' has no measure here; use one of narrativeqa"):
        longbench.load("lcc", tmp_path / "hub")
    with pytest.raises(DatasetError, match=r"gov_report.jsonl, row 1: 'answers' is empty"):
        longbench.load("gov_report", write_lines(path, row | {"answers": []}))


def test_a_name_that_is_no_path_and_no_hub_name_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="'no-owner' is neither a file, a folder, nor a hub name"):
        narrativeqa.load("no-owner")
    with pytest.raises(DatasetError, match="is neither a file, a folder, nor a hub name"):
        qasper.load(str(tmp_path / "gone"))
