"""Broken files for the tests of reading: harmful ones, then valid files of every format mutated by a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import chain, count, islice

from tests import harmful_files as common
from tests import harmful_letters as letters

Mutation = Callable[[random.Random, bytes], bytes]
VALID = common.VALID | letters.VALID
"""Format -> suffix and a file that is read without a fault."""


def broken_files(seed: int, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield (path, bytes); the path is `<format>/<number>-<what was done>.<suffix>`. Equal seeds give equal files."""
    for index, (kind, what, suffix, data) in enumerate(
        islice(chain(common.harmful_files(), letters.harmful_letters(), mutated_files(seed)), number)
    ):
        yield f"{kind}/{index:04d}-{what}.{suffix}", data


def mutated_files(seed: int) -> Iterator[tuple[str, str, str, bytes]]:
    """Without end: every format with every mutation in turn, at places that follow from the seed."""
    for index in count():
        for kind, (suffix, data) in VALID.items():
            chance = random.Random(f"{seed} {kind} {index}")
            what = list(MUTATIONS)[index % len(MUTATIONS)]
            broken = MUTATIONS[what](chance, data)
            if what == "wrong-suffix":
                suffix = chance.choice([other for other, _ in VALID.values() if other != suffix])
            yield kind, what, suffix, broken


def _truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(1, len(data))]


def _behead(chance: random.Random, data: bytes) -> bytes:
    return data[chance.randrange(1, len(data)) :]


def _flip_bits(chance: random.Random, data: bytes) -> bytes:
    flipped = bytearray(data)
    for _ in range(chance.choice([1, 1, 4, 40])):
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _pieces(chance: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(chance.sample(range(1, len(data)), min(4, len(data) - 1)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _swap(chance: random.Random, data: bytes) -> bytes:
    pieces = _pieces(chance, data)
    first, second = chance.sample(range(len(pieces)), 2)
    pieces[first], pieces[second] = pieces[second], pieces[first]
    return b"".join(pieces)


def _drop(chance: random.Random, data: bytes) -> bytes:
    pieces = _pieces(chance, data)
    del pieces[chance.randrange(len(pieces))]
    return b"".join(pieces)


def _repeat(chance: random.Random, data: bytes) -> bytes:
    pieces = _pieces(chance, data)
    index = chance.randrange(len(pieces))
    return b"".join([*pieces[:index], pieces[index] * chance.randrange(2, 50), *pieces[index:]])


def _insert(found: Callable[[random.Random], bytes]) -> Mutation:
    def insert(chance: random.Random, data: bytes) -> bytes:
        position = chance.randrange(len(data))
        return data[:position] + found(chance) + data[position:]

    return insert


def _overwrite(chance: random.Random, data: bytes) -> bytes:
    length = chance.randrange(1, min(200, len(data)))
    position = chance.randrange(len(data) - length)
    return data[:position] + chance.randbytes(length) + data[position + length :]


def _enlarge_numbers(chance: random.Random, data: bytes) -> bytes:
    """Declared sizes, offsets, and counts become huge: decimal numbers in text formats, four bytes elsewhere."""
    digits = [position for position, byte in enumerate(data) if 48 <= byte <= 57]
    if len(digits) > len(data) // 40:
        position = chance.choice(digits)
        return data[:position] + b"9" * chance.choice([3, 9, 19]) + data[position:]
    position = chance.randrange(len(data) - 4)
    return data[:position] + chance.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80"]) + data[position + 4 :]


def _mark(chance: random.Random, data: bytes) -> bytes:
    marks = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff", b"\xef\xbb\xbf\xff\xfe"]
    return chance.choice(marks) + data


MUTATIONS: dict[str, Mutation] = {
    "truncated": _truncate,
    "beheaded": _behead,
    "bits-flipped": _flip_bits,
    "chunks-swapped": _swap,
    "chunk-dropped": _drop,
    "chunk-repeated": _repeat,
    "noise-inserted": _insert(lambda chance: chance.randbytes(chance.randrange(1, 300))),
    "nulls-inserted": _insert(lambda chance: bytes(chance.randrange(1, 3000))),
    "noise-over": _overwrite,
    "numbers-enlarged": _enlarge_numbers,
    "marked": _mark,
    "wrong-suffix": lambda _, data: data,
    "doubled": lambda _, data: data + data,
}
