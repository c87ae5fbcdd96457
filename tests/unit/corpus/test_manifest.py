"""Manifests as corpora. Run: pytest tests/unit/corpus/test_manifest.py"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lloco_core.config import CorpusConfig
from lloco_core.corpus.reading import read_documents
from lloco_core.corpus.sources import list_corpus
from lloco_core.errors import ConfigurationError


def jsonl(*rows: dict) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def listed(root, name: str = "corpus.jsonl", **options):
    return list(list_corpus(CorpusConfig(uri=f"{root}/{name}", **options)))


def test_rows_are_located_and_their_metadata_is_used(folder):
    root = folder({"docs/b b.txt": b"two", "a.txt": b"one", "unlisted.txt": b"-"})
    rows = [
        {"uri": "docs/b b.txt", "group": "Legal Team", "title": "Second", "doc_id": "doc-2"},
        {"uri": (root / "a.txt").as_uri(), "group": "hr", "year": 2024},
    ]
    (root / "corpus.jsonl").write_bytes(jsonl(*rows))
    sources = listed(root)
    assert [(source.relative_path, source.size, source.metadata.get("group")) for source in sources] == [
        ("a.txt", 3, "hr"),
        ("docs/b b.txt", 3, "Legal Team"),
    ]
    first, second = [next(read_documents(source, CorpusConfig(uri=str(root)))) for source in sources]
    assert (first.group, first.title, first.metadata["year"], first.text) == ("hr", "a", 2024, "one")
    assert (second.doc_id, second.title, second.text) == ("doc-2", "Second", "two")
    assert second.group.startswith("legal-team-")


def test_parquet_manifest(folder):
    root = folder({"a.txt": b"one", "b.txt": b"two"})
    pq.write_table(pa.table({"uri": ["b.txt", "a.txt"], "group": ["x", None], "vector": [[1.0], [2.0]]}), root / "corpus.parquet")
    assert [(source.relative_path, source.metadata) for source in listed(root, "corpus.parquet")] == [
        ("a.txt", {"group": None}),
        ("b.txt", {"group": "x"}),
    ]


def test_manifest_on_s3(s3):
    s3.put_object(Bucket="docs", Key="lists/all.jsonl", Body=jsonl({"uri": "a.txt"}, {"uri": "s3://docs/other/b.txt"}, {"uri": "gone.txt"}))
    s3.put_object(Bucket="docs", Key="lists/a.txt", Body=b"one")
    s3.put_object(Bucket="docs", Key="other/b.txt", Body=b"three")
    sources = listed("s3://docs/lists", "all.jsonl")
    assert [(source.uri, source.relative_path, source.size) for source in sources] == [
        ("s3://docs/lists/a.txt", "a.txt", 3),
        ("s3://docs/lists/gone.txt", "gone.txt", 0),
        ("s3://docs/other/b.txt", "other/b.txt", 5),
    ]
    texts = [next(read_documents(source, CorpusConfig(uri="s3://docs"))) for source in sources]
    assert [getattr(text, "text", None) or text.code for text in texts] == ["one", "unreadable", "three"]


def test_missing_entry_is_listed_and_quarantined(folder):
    root = folder({"a.txt": b"one"})
    (root / "corpus.jsonl").write_bytes(jsonl({"uri": "a.txt"}, {"uri": "gone.txt"}))
    results = [next(read_documents(source, CorpusConfig(uri=str(root)))) for source in listed(root)]
    assert (results[0].text, results[1].code) == ("one", "unreadable")


def test_changed_metadata_changes_the_etag_only_of_its_row(folder):
    root = folder({"a.txt": b"one", "b.txt": b"two"})
    (root / "corpus.jsonl").write_bytes(jsonl({"uri": "a.txt", "group": "x"}, {"uri": "b.txt", "group": "x"}))
    before = [source.etag for source in listed(root)]
    (root / "corpus.jsonl").write_bytes(jsonl({"uri": "a.txt", "group": "y"}, {"uri": "b.txt", "group": "x"}))
    after = [source.etag for source in listed(root)]
    assert (before[0] == after[0], before[1] == after[1]) == (False, True)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"uri": "../secret.txt"}\n', "row 0: uri '../secret.txt' leaves its folder"),
        (b'{"uri": "docs/../../secret.txt"}\n', "leaves its folder"),
        (b'{"uri": "file:///corpus/%2E%2E/secret.txt"}\n', "leaves its folder"),
        (b'{"uri": "https://example.org/a.txt"}\n', "unsupported scheme 'https'"),
        (b'{"uri": "a.txt"}\n{"url": "b.txt"}\n', r"row 1: no `uri`, only \['url'\]"),
        (b'{"uri": "a.txt"}\n{"uri": \n', "line 2 is not JSON"),
        (b'{"uri": "a.txt", "group": "x"}\n{"uri": "a.txt", "group": "y"}\n', "rows 0 and 1 say different things"),
        (b"", "no documents found under"),
    ],
)
def test_unusable_manifest_is_refused(folder, row, message):
    root = folder({"a.txt": b"one", "corpus.jsonl": row})
    with pytest.raises(ConfigurationError, match=message):
        listed(root)


def test_local_file_in_a_manifest_on_s3_is_refused(s3):
    s3.put_object(Bucket="docs", Key="all.jsonl", Body=jsonl({"uri": "file:///etc/hostname"}))
    with pytest.raises(ConfigurationError, match="local file in a manifest on S3"):
        listed("s3://docs", "all.jsonl")


def test_repeated_rows_count_once_and_patterns_apply(folder):
    root = folder({"a.txt": b"one", "b.md": b"two"})
    (root / "corpus.jsonl").write_bytes(jsonl({"uri": "a.txt"}, {"uri": "./a.txt"}, {"uri": "b.md"}))
    assert [source.relative_path for source in listed(root, exclude=("**/*.md",))] == ["a.txt"]


def test_entry_that_links_out_of_the_folder_is_quarantined(folder, tmp_path):
    (tmp_path / "secret.txt").write_bytes(b"secret")
    root = folder({"corpus.jsonl": jsonl({"uri": "link.txt"})})
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (rejection,) = read_documents(listed(root)[0], CorpusConfig(uri=str(root)))
    assert rejection.code == "unreadable"
    assert "outside the corpus folder" in rejection.message


def test_a_manifest_in_parquet_with_a_date_that_python_cannot_hold_is_read(folder):
    root = folder({"a.txt": b"a"})
    pq.write_table(pa.table({"uri": ["a.txt"], "until": pa.array([2932897], pa.date32())}), root / "m.parquet")
    [found] = list_corpus(CorpusConfig(uri=str(root / "m.parquet")))
    assert found.metadata == {"until": "10000-01-01"}


def test_a_manifest_in_parquet_with_a_damaged_part_stops_the_run(folder):
    root = folder({f"{number}.txt": b"a" for number in range(3)})
    path = root / "m.parquet"
    pq.write_table(pa.table({"uri": [f"{number}.txt" for number in range(3)]}), path, row_group_size=1)
    data, chunk = bytearray(path.read_bytes()), pq.read_metadata(path).row_group(1).column(0)
    data[chunk.dictionary_page_offset : chunk.dictionary_page_offset + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="rows 1 to 1 are not readable"):
        list(list_corpus(CorpusConfig(uri=str(path))))
