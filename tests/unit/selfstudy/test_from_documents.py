from __future__ import annotations

import re

from lloco_core.selfstudy.from_documents import BLANK, CLOZE, CONTINUATION, RECALL, questions_from_document

TEXT = """Dr. Ada Lovelace lived in London and wrote about the Analytical Engine in 1843. Her notes were translated by
several people, who admired them for a long time. "I do not believe that my father was such a poet," she said to Charles Babbage.
The machine cost 17,470 pounds and was never built while its inventor was alive! Short one. Why did nobody build the machine before?
首都是北京，人口有两千万人。他在一九八七年买了三个苹果。"""


def parts(question: str) -> tuple[str, str]:
    """The template of a question and what fills it."""
    for template in (CONTINUATION, CLOZE, RECALL):
        before, after = re.split(r"\{\w+\}", template)
        if question.startswith(before) and question.endswith(after):
            return template, question[len(before) : len(question) - len(after)]
    raise AssertionError(question)


def test_same_seed_same_rows() -> None:
    rows = questions_from_document("d", TEXT, 8, seed=0)
    assert rows == questions_from_document("d", TEXT, 8, seed=0)
    assert rows != questions_from_document("d", TEXT, 8, seed=1)
    assert [row.question for row in rows] != [row.question for row in questions_from_document("e", TEXT, 8, seed=0)]


def test_three_kinds_take_turns_without_repeats() -> None:
    rows = questions_from_document("d", TEXT, 9, seed=0)
    assert len({row.question for row in rows}) == len(rows) == 9
    assert [parts(row.question)[0] for row in rows[:3]] == [CONTINUATION, CLOZE, RECALL]
    assert all(row.doc_id == "d" and row.answer for row in rows)


def test_question_and_answer_stand_in_the_text() -> None:
    flat = " ".join(TEXT.split())
    for row in questions_from_document("d", TEXT, 50, seed=0):
        _, quoted = parts(row.question)
        if BLANK in quoted:
            assert quoted.replace(BLANK, row.answer) in flat
        else:
            start = flat.index(quoted) + len(quoted)
            assert flat[start:].lstrip().startswith(row.answer)


def test_blanks_are_numbers_and_names_before_common_words() -> None:
    blanks = {row.answer for row in questions_from_document("d", TEXT, 50, seed=0) if BLANK in row.question}
    assert {"1843", "17,470"} <= blanks
    assert not blanks & {"the", "and", "was"}


def test_abbreviations_numbers_and_wrapped_lines_do_not_end_sentences() -> None:
    text = "He paid Mr. Smith 3.5 pounds\nfor the red apples of\nYork yesterday."
    (row, *_) = questions_from_document("d", text, 1, seed=0)
    assert parts(row.question)[1].startswith("He paid Mr.")


def test_little_text_gives_fewer_rows() -> None:
    assert questions_from_document("d", "", 5, seed=0) == []
    assert questions_from_document("d", "One two.", 5, seed=0) == []
    assert 1 <= len(questions_from_document("d", "The magic city is Kathmandu.", 5, seed=0)) <= 3
