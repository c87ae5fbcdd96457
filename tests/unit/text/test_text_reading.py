from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import texts
import zstandard

from lloco_core.encoder_training.text.config import TextConfig
from lloco_core.encoder_training.text.files import find_files
from lloco_core.encoder_training.text.reading import Tally, TextDocument
from lloco_core.encoder_training.text.stream import place_of, read_documents, read_ids
from lloco_core.errors import ConfigurationError, StorageError, TrainingTextError
from lloco_core.objects import open_objects
from lloco_core.objects.s3 import S3Objects
from tests.conftest import BUCKET

ROWS = [{"id": f"d{number}", "text": texts.story(str(number), 12)} for number in range(50)]
LINES = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in ROWS]
DOCUMENTS = [TextDocument(row["id"], row["text"]) for row in ROWS]


def long_frames(data: bytes) -> bytes:
    """Two frames with a window of 512 MiB, as `zstd --long=29` writes them."""
    parameters = zstandard.ZstdCompressionParameters(window_log=29, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    middle = len(data) // 2  # within a line
    frames = []
    for part in (data[:middle], data[middle:]):
        sink = io.BytesIO()
        with compressor.stream_writer(sink, closefd=False) as writer:  # the size is not known beforehand: the window stays
            writer.write(part)
        frames.append(sink.getvalue())
    return b"".join(frames)


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=7)
    return sink.getvalue()


PACKED = {
    "plain.jsonl": b"".join(LINES),
    "packed.jsonl.gz": gzip.compress(b"".join(LINES)),
    "packed.jsonl.zst": long_frames(b"".join(LINES)),
    "table.parquet": as_parquet(ROWS),
}


def read(config: TextConfig, tally: Tally | None = None) -> list[TextDocument]:
    return list(read_documents(find_files(config.files), read_ids(config.drop), config, tally or Tally(config.damaged_rate)))


@pytest.mark.parametrize("name", PACKED)
def test_every_format_gives_the_same_documents(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKED[name])
    assert read(texts.config(tmp_path / name, tmp_path)) == DOCUMENTS


@pytest.mark.parametrize("name", PACKED)
def test_s3_gives_the_same_documents(name: str, s3: Any, tmp_path: Path) -> None:
    prefix = f"texts/{name.replace('.', '-')}"
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/part/{name}", Body=PACKED[name])
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/notes.md", Body=b"no text to train on")
    assert read(texts.config(f"s3://{BUCKET}/{prefix}", tmp_path)) == DOCUMENTS


def test_an_object_on_s3_is_read_in_pieces_and_never_mixed(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lloco_core.objects.s3.PIECE_BYTES", 4096)
    pieces: list[int] = []
    whole = S3Objects._read

    def counted(self: S3Objects, key: str, **conditions: str) -> bytes:
        data = whole(self, key, **conditions)
        pieces.append(len(data))
        return data

    monkeypatch.setattr(S3Objects, "_read", counted)
    s3.put_object(Bucket=BUCKET, Key="pieces/a.jsonl", Body=b"".join(LINES))
    config = texts.config(f"s3://{BUCKET}/pieces/a.jsonl", tmp_path)
    assert read(config) == DOCUMENTS
    assert max(pieces) == 4096
    documents = read_documents(find_files(config.files), frozenset(), config, Tally(0))
    next(documents)
    s3.put_object(Bucket=BUCKET, Key="pieces/a.jsonl", Body=b"".join(reversed(LINES)))
    with pytest.raises(StorageError, match=r"pieces/a\.jsonl.*replaced"):
        list(documents)


def test_an_open_object_can_be_sought_like_a_file(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="seek/x", Body=bytes(range(100)))
    (tmp_path / "x").write_bytes(bytes(range(100)))
    for objects in (open_objects(f"s3://{BUCKET}/seek"), open_objects(str(tmp_path))):
        with objects.open("x") as file:
            assert file.seek(-10, io.SEEK_END) == 90
            assert file.read() == bytes(range(90, 100))
            assert (file.seek(5), file.read(3), file.tell(), file.read(0)) == (5, b"\x05\x06\x07", 8, b"")
        with pytest.raises(StorageError, match="missing"):
            objects.open("missing")


def test_files_take_turns_in_an_order_of_their_own(tmp_path: Path) -> None:
    for name, rows in (("a", LINES[:3]), ("b", LINES[10:11]), ("c", LINES[20:22]), ("d", LINES[30:32])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(rows))
    config = texts.config(tmp_path, tmp_path, open_files=2)
    assert [document.id for document in read(config)] == ["d0", "d10", "d1", "d2", "d20", "d21", "d30", "d31"]
    assert read(config) == read(config)


def test_listed_ids_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"".join(LINES))
    (tmp_path / "drop.tsv").write_text('corpus\tdoc_id\ttitle\nbooks\td3\tThe "half quoted\nbooks\td7\tx\nother\tunknown\ty\n')
    (tmp_path / "drop.txt").write_text("d3\n\nd7\nunknown\n")
    for name in ("drop.tsv", "drop.txt"):
        tally = Tally(0)
        documents = read(texts.config(tmp_path / "a.jsonl", tmp_path, drop=str(tmp_path / name)), tally)
        assert [document.id for document in documents] == [row["id"] for row in ROWS if row["id"] not in ("d3", "d7")]
        assert (tally.dropped, tally.documents, tally.lines) == (2, 48, 50)
    (tmp_path / "wrong.tsv").write_text("title\nx\n")
    with pytest.raises(ConfigurationError, match="neither doc_id nor id"):
        read_ids(str(tmp_path / "wrong.tsv"))


BROKEN = [
    b'{"id": "x", "text": "cut',
    b'["x"]',
    b'{"id": "x"}',
    b'{"text": "x"}',
    b'{"id": "x", "text": " "}',
    b'{"id": "\xff", "text": "x"}',
]


def test_damaged_lines_are_named_and_left_out(tmp_path: Path) -> None:
    lines = [*LINES[:4], *(line + b"\n" for line in BROKEN), b"\n", b'{"id": 7, "text": "seven\\r\\n\\ud800"}\n', *LINES[4:]]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    tally = Tally(0.2)
    documents = read(texts.config(tmp_path / "a.jsonl", tmp_path, damaged_rate=0.2), tally)
    assert documents == [*DOCUMENTS[:4], TextDocument("7", "seven\n\ufffd"), *DOCUMENTS[4:]]
    assert [(item.line, item.uri) for item in tally.damaged] == [(number, (tmp_path / "a.jsonl").as_uri()) for number in range(5, 11)]
    assert (tally.n_damaged, tally.lines) == (6, 57)
    with pytest.raises(TrainingTextError, match=r"6 of 57 lines are damaged.*a\.jsonl line 5: no JSON"):
        read(texts.config(tmp_path / "a.jsonl", tmp_path, damaged_rate=0.1))


def test_one_damaged_line_is_allowed_unless_none_may_be(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(BROKEN[0] + b"\n" + LINES[0])
    assert read(texts.config(tmp_path / "a.jsonl", tmp_path, damaged_rate=0.001)) == DOCUMENTS[:1]
    with pytest.raises(TrainingTextError, match="1 of 2 lines"):
        read(texts.config(tmp_path / "a.jsonl", tmp_path, damaged_rate=0))


def test_plain_damage_ends_the_reading_early(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{\n" * 5000)
    tally = Tally(0.01)
    with pytest.raises(TrainingTextError):
        read(texts.config(tmp_path / "a.jsonl", tmp_path, damaged_rate=0.01), tally)
    assert tally.lines == 102
    assert len(tally.damaged) == 100


def test_a_line_without_end_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES[0] + b'{"id": "x", "text": "' + b"x" * 3 * 2**20 + b'"}\n' + LINES[1])
    tally = Tally(0.1)
    assert read(texts.config(tmp_path / "a.jsonl", tmp_path, document_mb=1), tally) == DOCUMENTS[:2]
    assert tally.damaged[0][1:] == (2, "longer than text.document_mb 1")


@pytest.mark.parametrize("name", ["packed.jsonl.gz", "packed.jsonl.zst", "table.parquet"])
@pytest.mark.parametrize("damage", ["ends early", "altered"])
def test_damaged_files_are_refused(name: str, damage: str, tmp_path: Path) -> None:
    data = PACKED[name]
    data = data[:-30] if damage == "ends early" else data[:4] + b"\xff" * 60 + data[64:]
    if damage == "altered" and name == "table.parquet":
        data = data[:-60] + b"\xff" * 60
    (tmp_path / name).write_bytes(data)
    with pytest.raises(StorageError, match=f"{name}.*fetch the file again"):
        read(texts.config(tmp_path / name, tmp_path))


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a.jsonl").write_bytes(LINES[0])
    (tmp_path / "t.parquet").write_bytes(as_parquet([{"id": "a", "body": "b"}]))
    with pytest.raises(ConfigurationError, match="more than once"):
        read(texts.config([str(tmp_path / "a.jsonl"), str(tmp_path)], tmp_path))
    with pytest.raises(StorageError, match="no column 'text'"):
        read(texts.config(tmp_path / "t.parquet", tmp_path))
    with pytest.raises(StorageError, match="does not exist"):
        read(texts.config(tmp_path / "b.jsonl", tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="there is no"):
        read(texts.config(tmp_path / "empty", tmp_path))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_a_large_file_is_read_in_bounded_memory(suffix: str, tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": random.Random(number).randbytes(50_000).hex()} for number in range(160)]
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    pack = {".jsonl": bytes, ".jsonl.gz": lambda text: gzip.compress(text, 1), ".jsonl.zst": zstandard.ZstdCompressor(1).compress}
    (tmp_path / f"big{suffix}").write_bytes(as_parquet(rows) if suffix == ".parquet" else pack[suffix](data))
    config = texts.config(tmp_path / f"big{suffix}", tmp_path)
    tracemalloc.start()
    try:
        tally = Tally(0)
        for _ in read_documents(find_files(config.files), frozenset(), config, tally):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tally.documents == 160
    assert peak < len(data) / 2, f"{peak} of {len(data)} bytes"


def test_validation_goes_by_the_id_alone() -> None:
    places = [place_of(f"document {number}") for number in range(4000)]
    assert 0.18 < sum(place < 0.2 for place in places) / 4000 < 0.22
    assert place_of("12") == place_of("12")
