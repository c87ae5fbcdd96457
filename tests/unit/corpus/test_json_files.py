"""JSON files and notebooks. Run: pytest tests/unit/corpus/test_json_files.py"""

from __future__ import annotations

import json

import pytest


def rows(found) -> list[tuple[str, str]]:
    return [(result.uri.partition("#")[2], getattr(result, "code", None) or result.text) for result in found]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([{"text": "a"}, {"text": "b", "n": 1}], [("row-0", "a"), ("row-1", "b")]),
        ([{"text": "a"}, 3, {"other": 1}], [("row-0", "a"), ("row-1", "row_malformed"), ("row-2", "row_without_text")]),
        ({"data": [{"text": "a"}], "count": 1, "next": None}, [("row-data-0", "a")]),
        ({"data": [{"text": "a"}], "about": {"note": "two words"}}, [("row-data-0", "a"), ("row-about", "about:\n  note: two words")]),
        ({"a/b": [{"text": "a"}], "c": [{"text": "b"}]}, [("row-a%2Fb-0", "a"), ("row-c-0", "b")]),
        ({"text": "whole", "title": "T"}, [("", "whole")]),
        ({"text": " "}, [("", "row_without_text")]),
        ({"title": "T", "list": [1, {"k": "v"}], "no": None, "yes": True}, [("", "title: T\nlist:\n  1\n    k: v\nyes: true")]),
        (["x", ["y"]], [("", "x\n  y")]),
        ("just words", [("", "just words")]),
        ([], [("", "empty")]),
        ({"a": None}, [("", "empty")]),
    ],
)
def test_what_becomes_a_document(parse, data, expected):
    assert rows(parse("a.json", json.dumps(data).encode())) == expected


def test_one_object_keeps_its_metadata_and_the_files_id(parse):
    (document,) = parse("a.json", b'{"text": "body", "title": "T", "group": "g"}', {"doc_id": "d1"})
    assert (document.doc_id, document.title, document.group, document.uri) == ("d1", "T", "g", "file:///corpus/a.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(parse, encoding):
    assert parse("a.json", '{"město": "Plzeň"}'.encode(encoding))[0].text == "město: Plzeň"


def test_json_lines_under_json(parse):
    assert rows(parse("a.json", b'{"text": "a"}\n\n{"text": "b"}\nbroken\n')) == [
        ("row-0", "a"),
        ("row-2", "b"),
        ("row-3", "row_malformed"),
    ]


@pytest.mark.parametrize("data", [b'{"a": ', b"[" * 100_000, b'{"a": 1} x', b"words", b"9" * 10_000, b"[" * 150 + b"1" + b"]" * 150])
def test_what_is_no_json_is_one_rejection(parse, data):
    (rejection,) = parse("a.json", data)
    assert rejection.code == "file_damaged"


def test_notebooks_without_pictures(parse):
    picture = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" * 500, "text/plain": ["<Figure>"]}}
    error = {"output_type": "error", "traceback": ["\x1b[31mValueError\x1b[0m: no"]}
    cells = [
        {"cell_type": "markdown", "source": ["# Tides\n", "![p](data:image/png;base64,AAAA)"], "attachments": {"p": {"image/png": "AAAA"}}},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"output_type": "stream", "text": "1\n"}, picture, error]},
        {"cell_type": "code", "source": [], "outputs": [{"data": {"text/html": "<b>x</b>", "text/plain": "x"}}]},
    ]
    (document,) = parse("a.ipynb", json.dumps({"cells": cells, "nbformat": 4}).encode())
    assert document.text == "# Tides\n![p]()\n\nprint(1)\n\n1\n\n\n<Figure>\n\nValueError: no\n\nx"
    assert document.title == "Tides"


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"cells": 3}', b'{"cells": [1]}', b'{"cells": []}', b"{"])
def test_what_is_no_notebook_is_one_rejection(parse, data):
    assert [found.code for found in parse("a.ipynb", data)] == ["file_damaged"]
