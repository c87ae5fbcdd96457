"""The documents of a row: random token ids of given lengths, the same for every engine and every run with one seed.

`6k`, `30k`, `128k`: equal documents of that many times 1,024 tokens; a plain number: so many tokens. `mix`: log-normal lengths in
random order. `128k+short`: one long document beside many short ones. The two are for segments of 1,536 tokens and shrink with shorter
segments.
"""

from __future__ import annotations

import zlib

import numpy as np

PUBLISHED_SEGMENT = 1536
MIX_DOCUMENTS, MIX_SUBSET = 512, 32
MIX_MEDIAN, MIX_SIGMA, MIX_LEAST, MIX_MOST = 8192, 1.0, 256, 131_072
"""A median of 8k tokens and sigma 1: one document in a hundred is longer than 84k tokens."""
SHORT_DOCUMENTS, SHORT_LEAST, SHORT_MOST = 200, 200, 4000
BESIDE_SHORT = "128k+short"
CONTINUOUS_ONLY = (BESIDE_SHORT,)

COUNTS = {
    "ours": {"6k": 64, "30k": 24, "128k": 12},
    "stock": {"6k": 32, "30k": 8, "128k": 8},
    "original": {"6k": 16, "30k": 6, "128k": 1},
}
"""Documents of a row on a card: 10 to 60 s at 40,000 tokens/s for ours, fewer for what is slower."""
CPU_COUNTS = {"1.5k": 8, "6k": 4, "30k": 2}
OTHER_TOKENS = 400_000


def tokens_of(name: str) -> int:
    """Tokens of one document of a row of equal documents."""
    return int(float(name[:-1]) * 1024) if name.endswith("k") else int(name)


def document_lengths(name: str, engine: str, segment_length: int, seed: int, scale: float = 1.0, on_card: bool = True) -> list[int]:
    """Tokens of every document of a row.

    Args:
        name: what the row encodes, see the module.
        engine: slower engines get fewer documents: the first ones of the same list.
        segment_length: tokens per segment of the encoder.
        seed: of the lengths.
        scale: factor on the number of documents.
        on_card: False takes the smaller numbers that a CPU can do.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    shrink = segment_length / PUBLISHED_SEGMENT
    if name == "mix":
        lengths = _mix_lengths(rng, shrink)
        most = MIX_SUBSET if subset_of(name, engine) else MIX_DOCUMENTS
        return lengths[: _scaled(most, scale)]
    if name == BESIDE_SHORT:
        shorts = rng.integers(SHORT_LEAST, SHORT_MOST, SHORT_DOCUMENTS, endpoint=True)[: _scaled(SHORT_DOCUMENTS, scale)]
        lengths = rng.permutation(np.append(shorts, tokens_of("128k")))
        return [max(1, round(float(length) * shrink)) for length in lengths]
    return [tokens_of(name)] * _scaled(_count(name, engine, on_card), scale)


def subset_of(name: str, engine: str) -> int | None:
    """How many documents the full row has, where this engine gets only some of them."""
    return MIX_DOCUMENTS if name == "mix" and not engine.startswith("ours") else None


def _mix_lengths(rng: np.random.Generator, shrink: float) -> list[int]:
    lengths = np.clip(rng.lognormal(np.log(MIX_MEDIAN), MIX_SIGMA, MIX_DOCUMENTS), MIX_LEAST, MIX_MOST)
    return [max(1, round(float(length) * shrink)) for length in lengths]


def _count(name: str, engine: str, on_card: bool) -> int:
    counts = COUNTS["ours" if engine.startswith("ours") else engine] if on_card else CPU_COUNTS
    return counts.get(name) or max(1, OTHER_TOKENS // tokens_of(name) // (1 if on_card else 10))


def _scaled(count: int, scale: float) -> int:
    return max(1, round(count * scale))


def random_documents(lengths: list[int], vocabulary: int, seed: int) -> list[np.ndarray]:
    """Random token ids [T] int32 per document."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, vocabulary, length, dtype=np.int32) for length in lengths]


def warmup_lengths(lengths: list[int], segment_length: int, engine: str) -> list[int]:
    """Shorter documents, as many at once as the row has, so that compilation and tuning happen before the clock runs."""
    if engine == "original":
        return [min(max(lengths), 3 * segment_length)]
    return [min(length, (4 if order < 4 else 2) * segment_length) for order, length in enumerate(lengths[:32])]


def split_by_tokens(lengths: list[int], parts: int) -> list[list[int]]:
    """Document numbers per process: the longest first to whoever has the fewest tokens, each process in the given order."""
    loads, shares = [0] * parts, [[] for _ in range(parts)]
    for order in sorted(range(len(lengths)), key=lambda order: -lengths[order]):
        least = loads.index(min(loads))
        loads[least] += lengths[order]
        shares[least].append(order)
    return [sorted(share) for share in shares]
