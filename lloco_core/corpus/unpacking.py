"""Unpacking .gz, .zst, .bz2, and .xz: any number of members, within bounds of size and memory, and what a damaged one still holds.

A *member* is what its format calls member, frame, or stream. What stands in members that end well is whole; one that is cut off is
read as far as it goes. One that is damaged inside is left out, because where its damage begins cannot be known. Behind the last member
stands what the format's own tool lets pass: zero bytes (padding of tapes and blocks), and for gzip and bzip2 any other bytes.
"""

from __future__ import annotations

import bz2
import lzma
import re
import sys
import zlib
from dataclasses import dataclass
from typing import Protocol

from lloco_core.corpus.reasons import Reason, Rejected

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
"""Suffix -> codec."""

_FIRST_STEP, _LARGEST_STEP = 4 * 2**10, 256 * 2**10
"""Bytes handed to a member at once, growing: what lies behind its end is copied."""
_SMALL_STEP = 256
"""To get near a damage: what a member unpacked before it in the same step is not given out."""
_MB = 2**20
_ZEROS = re.compile(b"\x00*")
_BEGINNING = {"gzip": re.compile(b"\x1f\x8b"), "bz2": re.compile(b"BZ")}
"""Of members whose tools ignore anything else behind the last one."""
_WHOLE_HEAD = {"gzip": re.compile(b"\x1f\x8b\x08[\x00-\x1f]"), "bz2": re.compile(b"BZh[1-9](1AY&SY|\x17rE8P\x90)")}
"""What no rubbish has by chance."""
_ZSTD_WINDOW_LOGS = (10, 31)
"""Smallest and largest logarithm of a window that the library reads."""
_LONGEST_HEAD = 18
"""Bytes of a zstd frame's head."""
_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, MemoryError)
_MEMORY = re.compile("too much memory|allocation error|memory usage limit", re.IGNORECASE)
_UNSUPPORTED = re.compile("unsupported|dictionary mismatch", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive holds."""

    data: bytes
    damage: Rejected | None = None
    """Why there is no more of it; it counts the lines that are lost, where that is known or can be estimated."""

    def whole_lines(self) -> bytes:
        """The data without the line that the damage cut off."""
        return self.data[: self.data.rfind(b"\n") + 1] if self.damage else self.data


class _Member(Protocol):
    """The interface of `bz2`, `lzma`, and `compression.zstd`."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipMember:
    """`zlib` behind the interface of the others."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


def unpack(data: bytes, codec: str, max_bytes: int, max_memory_mb: int, in_lines: bool = False) -> Unpacked:
    """Unpack all members.

    Args:
        data: the archive.
        codec: a value of `CODECS`.
        max_bytes: bound of what is unpacked, `corpus.max_bytes`.
        max_memory_mb: bound of the window of zstd and the memory of xz, `corpus.parse_memory_mb`.
        in_lines: whether every line is a document, so that the lines that are not read are counted.

    Raises:
        Rejected: `too_large_unpacked`, `archive_memory`, or `archive_unsupported`.
    """
    pieces: list[bytes] = []
    n_bytes, position = 0, 0
    while position is not None and position < len(data):
        start, member = position, _open(codec, max_memory_mb)
        piece, position, error = _read(member, data, start, max_bytes + 1 - n_bytes)
        n_bytes += len(piece)
        if n_bytes > max_bytes:
            message = f"unpacks to more than {max_bytes} bytes; split it or raise corpus.max_bytes"
            raise Rejected(Reason.TOO_LARGE_UNPACKED, message, max(1, _lines(*pieces, piece)) if in_lines else 1)
        if error is not None:
            _refuse_limit(error, codec, max_memory_mb)
            lost = _lines_damaged(codec, max_memory_mb, data, start, max_bytes) if in_lines else 0
            return Unpacked(b"".join(pieces), _damage(codec, str(error), lost))
        pieces.append(piece)
        if not member.eof:
            missing = _lines_cut_off(codec, data[start:], piece) if in_lines else 0
            return Unpacked(b"".join(pieces), _damage(codec, "it is cut off", missing))
        position = _next_member(data, position, codec)
    return Unpacked(b"".join(pieces))


def _open(codec: str, max_memory_mb: int) -> _Member:
    match codec:
        case "gzip":
            return _GzipMember()
        case "bz2":
            return bz2.BZ2Decompressor()
        case "xz":
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=max_memory_mb * _MB)
    smallest, largest = _ZSTD_WINDOW_LOGS
    window_log = max(smallest, min(largest, (max_memory_mb * _MB).bit_length() - 1))
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})


def _read(member: _Member, data: bytes, position: int, room: int, largest_step: int = _LARGEST_STEP) -> tuple[bytes, int, Exception | None]:
    """What a member holds, at most `room` bytes of it; where it ended, or was last seen sound; and what went wrong."""
    pieces: list[bytes] = []
    step = min(_FIRST_STEP, largest_step)
    try:
        while not member.eof and position < len(data) and room > 0:
            chunk = data[position : position + step]
            pieces.append(member.decompress(chunk, room))
            position, step = position + len(chunk), min(2 * step, largest_step)
            room -= len(pieces[-1])
    except _ERRORS as error:
        return b"".join(pieces), position, error
    return b"".join(pieces), position - len(member.unused_data), None


def _next_member(data: bytes, position: int, codec: str) -> int | None:
    position = _ZEROS.match(data, position).end()
    if codec not in _BEGINNING or _BEGINNING[codec].match(data, position):
        return position
    hidden = _WHOLE_HEAD[codec].search(data, position)  # behind a member whose own head is damaged
    return position if hidden else None


def _lines_damaged(codec: str, max_memory_mb: int, data: bytes, start: int, max_bytes: int) -> int:
    """Lines of a damaged member and all behind it, as dense as those in front of the damage; 0 if it can be seen nowhere."""
    piece, position, _ = _read(_open(codec, max_memory_mb), data, start, max_bytes, _SMALL_STEP)
    return _lines(piece) * (len(data) - start) // max(1, position - start)


def _lines_cut_off(codec: str, member: bytes, piece: bytes) -> int:
    """Lines that a member is known to have beyond those that were read; zstd says in front how large it is."""
    size = zstd.get_frame_info(member).decompressed_size if codec == "zstd" and len(member) >= _LONGEST_HEAD else None
    return _lines(piece) * (size - len(piece)) // len(piece) if size and piece else 0


def _lines(*pieces: bytes) -> int:
    return sum(piece.count(b"\n") for piece in pieces)


def _damage(codec: str, what: str, n_lines: int) -> Rejected:
    known = f"; about {n_lines} lines are lost" if n_lines > 1 else ""
    return Rejected(Reason.ARCHIVE_DAMAGED, f"{codec} data cannot be unpacked: {what}{known}; fetch the file again", max(1, n_lines))


def _refuse_limit(error: Exception, codec: str, max_memory_mb: int) -> None:
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        what = {"zstd": "window", "xz": "dictionary"}.get(codec, "memory")
        bound = " (2048 MB are the most that zstd itself can take)" if codec == "zstd" else ""
        message = f"its {what} is larger than corpus.parse_memory_mb {max_memory_mb} allows{bound}"
        raise Rejected(Reason.ARCHIVE_MEMORY, f"{message}; raise it, or compress the file again with a smaller {what}") from error
    if _UNSUPPORTED.search(str(error)):
        message = f"{codec} data of a kind that is not read: {error}; compress the file again without dictionaries or special filters"
        raise Rejected(Reason.ARCHIVE_UNSUPPORTED, message) from error
