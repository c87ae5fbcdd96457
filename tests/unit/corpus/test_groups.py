"""Group names and where they come from. Run: pytest tests/unit/corpus/test_groups.py"""

from __future__ import annotations

import re

import pytest

from lloco_core.corpus.groups import group_name


@pytest.mark.parametrize("raw", ["legal", "a", "2024", "hr.eu_west-1", "a" * 63])
def test_valid_names_stay(raw):
    assert group_name(raw) == raw


def test_other_names_become_slugs_that_never_collide():
    raw = ["Legal", "LEGAL", "legal ", "légal", "le gal", "le/gal", "le-gal!", "日本", "中国", "..", "", "a" * 64, "a" * 65, "x\n", "_x"]
    names = [group_name(name) for name in raw]
    assert len({*names, "legal", "le-gal", "group"}) == len(raw) + 3
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name) for name in names)
    assert names[0].startswith("legal-")
    assert names[4].startswith("le-gal-")


def test_names_are_the_same_in_every_run():
    assert group_name("Human Resources") == "human-resources-d2d5338748"


def test_composed_and_decomposed_spelling_are_one_group():
    assert group_name("Ünï") == group_name("U\u0308ni\u0308")


@pytest.mark.parametrize(
    ("group_by", "path", "metadata", "expected"),
    [
        ("auto", "hr/a.txt", {}, "hr"),
        ("auto", "hr/deep/a.txt", {}, "hr"),
        ("auto", "hr/a.txt", {"group": "legal"}, "legal"),
        ("auto", "a.txt", {"group": 2024}, "2024"),
        ("auto", "a.txt", {"group": ""}, None),
        ("auto", "a.txt", {}, None),
        ("folder", "hr/a.txt", {"group": "legal"}, "hr"),
        ("field", "hr/a.txt", {"group": "legal"}, "legal"),
        ("cluster", "hr/a.txt", {"group": "legal"}, None),
    ],
)
def test_group_by(parse, group_by, path, metadata, expected):
    assert parse(path, b"x", metadata, group_by=group_by)[0].group == expected


def test_another_field_may_hold_the_group(parse):
    assert parse("a.txt", b"x", {"team": "ops", "group": "no"}, group_field="team")[0].group == "ops"


@pytest.mark.parametrize(("group_by", "path", "metadata"), [("folder", "a.txt", {}), ("field", "hr/a.txt", {"group": None})])
def test_a_required_group_that_is_missing_rejects(parse, group_by, path, metadata):
    (rejection,) = parse(path, b"x", metadata, group_by=group_by)
    assert rejection.code == "no_group"
    assert f"'{group_by}'" in rejection.message
