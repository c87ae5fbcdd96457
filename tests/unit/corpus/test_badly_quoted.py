"""Tables with quotes that open or close nothing: each costs its own row at most. Run: pytest tests/unit/corpus/test_badly_quoted.py"""

from __future__ import annotations

import pytest


def texts(found) -> dict[str, str]:
    return {document.metadata["id"]: document.text for document in found}


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("a.csv", b'id,text\n1,"open here\n2,second\n3,third\n4,"fourth, quoted"\n', ['"open here', "second", "third", "fourth, quoted"]),
        ("a.csv", b'id,text\n1,first\n2,"open at the end\n', ["first", '"open at the end']),
        ("a.tsv", b'id\ttext\n1\t"a\tb"\n2\ta 5" pipe\n3\t"open here\n4\tfourth\n', ["a\tb", 'a 5" pipe', '"open here', "fourth"]),
        ("a.csv", b'id;text\r\n1;"open\r\n2;he said "yes"\r\n3;third\r\n', ['"open', 'he said "yes"', "third"]),
        ("a.csv", b'id,text\n1,"two\nlines, one cell"\n2,"open\n3,"say ""hi"""\n', ["two\nlines, one cell", '"open', 'say "hi"']),
        ("a.csv", b'id,text\n1,"say \\"hi\\", then"\n2,"open\n3,third\n', ['say "hi", then', '"open', "third"]),
        ("a.csv", b'id, text\n1, first\n2, "second, with a comma"\n', ["first", "second, with a comma"]),
    ],
)
def test_a_quote_that_is_left_open_swallows_no_row(parse, name, data, rows):
    assert texts(parse(name, data)) == {str(number): row for number, row in enumerate(rows, start=1)}


def test_a_row_with_too_few_cells_takes_none_of_the_next(parse):
    data = b'id,text,pages\n1,"open,5\n2,second,6\n3,"two\nlines",7\n4,"fourth",8\n'
    assert texts(parse("a.csv", data)) == {"1": '"open', "2": "second", "3": "two\nlines", "4": "fourth"}


def test_many_open_quotes_are_read(parse):
    found = parse("a.csv", b"id,text\n" + b"".join(b'%d,"open quote of this row\n' % number for number in range(3000)))
    assert [document.text for document in found] == ['"open quote of this row'] * 3000
