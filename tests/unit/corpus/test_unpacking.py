"""Archives: what is whole, cut off, damaged, over a limit, or only padded. Run: pytest tests/unit/corpus/test_unpacking.py"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import shutil
import subprocess
import zlib

import pytest
import zstandard

from lloco_core.corpus.reasons import Rejected
from lloco_core.corpus.unpacking import unpack
from lloco_core.types import Document

CODECS = {"gzip": gzip.compress, "zstd": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}
SUFFIX = {"gzip": "gz", "zstd": "zst", "bz2": "bz2", "xz": "xz"}
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
MB = 2**20
ROWS = [{"text": f"row {number} " + random.Random(number).randbytes(100).hex()} for number in range(2_000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()

codecs = pytest.mark.parametrize(("codec", "pack"), CODECS.items())


def with_checksum(codec: str):
    """zstd's is an option of who packs."""
    return zstandard.ZstdCompressor(write_checksum=True).compress if codec == "zstd" else CODECS[codec]


def unpacked(data: bytes, codec: str) -> bytes:
    found = unpack(data, codec, MB, 512)
    assert found.damage is None, found.damage
    return found.data


def refused(data: bytes, codec: str, max_bytes: int = MB, max_memory_mb: int = 512) -> Rejected:
    with pytest.raises(Rejected) as raised:
        unpack(data, codec, max_bytes, max_memory_mb)
    return raised.value


@codecs
def test_members_are_joined(codec, pack):
    assert unpacked(pack(b"one ") + pack(b"") + pack(b"two") + pack(b""), codec) == b"one two"
    assert unpacked(pack(b""), codec) == b""
    many = [b"%d " % number for number in range(300)]
    assert unpacked(b"".join(map(pack, many)), codec) == b"".join(many)


@codecs
def test_zero_bytes_behind_and_between_members_are_padding(codec, pack):
    assert unpacked(pack(b"one ") + bytes(1000) + pack(b"two") + bytes(10_240), codec) == b"one two"


@pytest.mark.parametrize("codec", ["gzip", "bz2"])
@pytest.mark.parametrize("junk", [b"junk", b"\n", b"\x00\x00junk\x00", b"\x1f", b"-----BEGIN SIGNATURE-----" * 1000])
def test_other_bytes_behind_are_left_as_the_tools_leave_them(codec, junk, tmp_path):
    data = CODECS[codec](b"whole") + junk
    assert unpacked(data, codec) == b"whole"
    if tool := shutil.which({"gzip": "gzip", "bz2": "bzip2"}[codec]):
        assert subprocess.run([tool, "-dc"], input=data, capture_output=True).stdout == b"whole"


@pytest.mark.parametrize("codec", ["zstd", "xz"])
def test_other_bytes_behind_are_damage_where_the_tools_say_so(codec):
    found = unpack(CODECS[codec](b"whole") + b"junk", codec, MB, 512)
    assert (found.data, found.damage.reason) == (b"whole", "archive_damaged")


@pytest.mark.parametrize("codec", ["gzip", "bz2"])
def test_a_member_behind_one_whose_head_is_damaged_is_not_lost_silently(codec):
    pack = CODECS[codec]
    found = unpack(pack(b"one") + b"??" + pack(b"two")[2:] + pack(b"three"), codec, MB, 512)
    assert (found.data, found.damage.reason) == (b"one", "archive_damaged")


def test_frames_of_pzstd_and_skippable_frames():
    assert unpacked(SKIPPABLE + zstandard.compress(b"one ") + SKIPPABLE + zstandard.compress(b"two") + SKIPPABLE, "zstd") == b"one two"
    if tool := shutil.which("pzstd"):
        data = random.Random(1).randbytes(MB // 2).hex().encode()
        packed = subprocess.run([tool, "-c", "-p", "4", "-q"], input=data, capture_output=True, check=True).stdout
        assert unpack(packed, "zstd", 2 * MB, 512).data == data


@codecs
def test_what_is_cut_off_is_read_as_far_as_it_goes(codec, pack):
    data = pack(b"first member\n") + pack(LINES)
    found = unpack(data[:-200], codec, MB, 512)
    assert found.damage.reason == "archive_damaged"
    assert (b"first member\n" + LINES).startswith(found.data)
    assert found.data.startswith(b"first member\n")
    assert len(found.data) > len(LINES) // 2 or codec == "bz2"  # bzip2 has only blocks of 900 kB


@codecs
def test_a_member_damaged_inside_is_left_out_and_what_it_held_is_counted(codec, pack):
    packed = bytearray(with_checksum(codec)(LINES))
    middle = len(packed) // 2
    packed[middle : middle + 16] = b"\xff" * 16
    found = unpack(pack(b"first member\n") + bytes(packed), codec, MB, 512, in_lines=True)
    assert (found.data, found.damage.reason) == (b"first member\n", "archive_damaged")
    if codec != "bz2":  # which has blocks of 900 kB, of which here none is whole
        assert 800 < found.damage.n_documents < 4_000


@codecs
def test_data_of_another_format_is_damage(codec, pack):
    for data in (b"plain text", CODECS["xz" if codec == "gzip" else "gzip"](b"text"), pack(b"text")[:3]):
        found = unpack(data, codec, MB, 512)
        assert (found.data, found.damage.reason) == (b"", "archive_damaged")


@codecs
def test_unpacking_stops_at_the_bound(codec, pack):
    bomb = pack(b"0" * 10_000_000)
    assert len(bomb) < 20_000
    assert len(unpack(bomb, codec, 10_000_000, 512).data) == 10_000_000
    for data in (bomb, pack(b"0" * 9_999_990) + pack(b"0" * 20)):
        rejected = refused(data, codec, 9_999_999)
        assert rejected.reason == "too_large_unpacked"
        assert "9999999" in rejected.message and "corpus.max_bytes" in rejected.message


def long_window(window_log: int) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()  # a stream: the head of its frame has a window, which is byte 5
    frame = bytearray(compressor.compress(b"text " * 1000) + compressor.flush())
    frame[5] = (window_log - 10) << 3
    return bytes(frame)


@pytest.mark.parametrize("window_log", [28, 30, 31])
def test_a_window_within_the_memory_of_a_parser_is_read(window_log):
    """The command's own bound is 2 ** 27; `--long=31` and the archives of the web crawls are above it."""
    data = long_window(window_log)
    assert unpack(data, "zstd", MB, 2048).data == b"text " * 1000
    rejected = refused(data, "zstd", max_memory_mb=2**window_log // MB - 1)
    assert rejected.reason == "archive_memory"
    assert f"corpus.parse_memory_mb {2**window_log // MB - 1}" in rejected.message


def test_a_window_that_no_memory_holds_is_a_limit_too():
    frame = zstandard.compress(b"x" * 100)
    assert refused(frame[:4] + b"\x00\xf8" + frame[6:], "zstd").reason == "archive_memory"


def test_a_dictionary_of_xz_beyond_the_memory_is_a_limit():
    data = lzma.compress(b"text", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 400 * MB}])
    assert unpack(data, "xz", MB, 800).data == b"text"
    rejected = refused(data, "xz", max_memory_mb=300)
    assert (rejected.reason, "corpus.parse_memory_mb 300" in rejected.message) == ("archive_memory", True)


def test_a_dictionary_of_zstd_is_not_damage():
    samples = [f"user {number} said hello to user {number * 7}".encode() for number in range(2_000)]
    dictionary = zstandard.train_dictionary(4_000, samples)
    data = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[5])
    assert refused(data, "zstd").reason == "archive_unsupported"


@pytest.mark.parametrize("codec", CODECS)
def test_rows_before_the_cut_are_read_and_the_cut_is_one_rejection(parse, codec):
    data = b"".join(CODECS[codec](LINES[start : start + 20_000]) for start in range(0, len(LINES), 20_000))
    *rows, rejection = parse(f"dir/rows.jsonl.{SUFFIX[codec]}", data[: len(data) // 2])
    assert [row.text for row in rows] == [row["text"] for row in ROWS[: len(rows)]]  # no half row among them
    assert len(rows) > 800
    assert (rejection.code, rejection.uri) == ("archive_damaged", f"file:///corpus/dir/rows.jsonl.{SUFFIX[codec]}#row-{len(rows)}")


def test_a_frame_that_says_its_size_tells_how_many_rows_are_lost(parse):
    data = zstandard.compress(LINES)
    *rows, rejection = parse("rows.jsonl.zst", data[: len(data) // 2])
    assert abs(len(rows) + rejection.n_documents - len(ROWS)) < 20


def test_rows_of_a_damaged_member_are_lost_and_counted_whole(parse):
    """Where the damage begins is not known, so that a row behind it might be another text."""
    packed = bytearray(gzip.compress(LINES))
    packed[-8] ^= 1  # its checksum
    (rejection,) = parse("rows.jsonl.gz", bytes(packed))
    assert (rejection.code, rejection.uri) == ("archive_damaged", "file:///corpus/rows.jsonl.gz")
    assert abs(rejection.n_documents - len(ROWS)) < 20


@pytest.mark.parametrize("codec", CODECS)
def test_a_text_that_is_cut_off_is_one_document(parse, codec):
    (rejection,) = parse(f"a.txt.{SUFFIX[codec]}", CODECS[codec](LINES)[:-40])
    assert (rejection.code, rejection.n_documents) == ("archive_damaged", 1)
    (document,) = parse(f"a.txt.{SUFFIX[codec]}", CODECS[codec](b"whole"))
    assert isinstance(document, Document)
    assert document.title == "a"


def test_a_container_over_the_bound_counts_its_rows(parse):
    (rejection,) = parse("rows.jsonl.gz", gzip.compress(LINES), max_bytes=len(LINES) - 1)
    assert (rejection.code, rejection.n_documents) == ("too_large_unpacked", len(ROWS))
    (rejection,) = parse("lines.txt.gz", gzip.compress(LINES), max_bytes=len(LINES) - 1)
    assert rejection.n_documents == 1


@pytest.mark.parametrize("codec", CODECS)
def test_damage_anywhere_is_never_another_text(codec):
    """One bit, anywhere: the data is whole, or its damage is told."""
    data, dice = LINES[:5_000], random.Random(0)
    packed = with_checksum(codec)(data)
    for _ in range(60):
        broken = bytearray(packed)
        broken[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
        try:
            found = unpack(bytes(broken), codec, MB, 512)
        except Rejected as rejected:
            assert rejected.reason in ("archive_memory", "archive_unsupported", "too_large_unpacked")
        else:
            assert found.data == data or found.damage
            assert data.startswith(found.data)


def test_zlib_is_what_reads_gzip():
    """A name, a comment, and a checksum of the head, as other programs write them."""
    head = b"\x1f\x8b\x08\x1a" + bytes(6) + b"name\x00comment\x00"
    body = zlib.compressobj(wbits=-15)
    raw = body.compress(b"text") + body.flush()
    tail = zlib.crc32(b"text").to_bytes(4, "little") + (4).to_bytes(4, "little")
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert unpacked(head + raw + tail, "gzip") == b"text"
