"""Cutting a document into segments, and the hash chain that names what a segment's vectors depend on.

The vectors of segment k depend on the encoder and on the tokens of segments 0..k, and on nothing else. `prefix_hashes`
names exactly that, so stored vectors can be reused up to the first differing segment. Vectors of equal hashes are equal up to
the rounding of the number formats: a document that was continued has the stored float16 vectors as its prefix (see
`lloco_core.continuation`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


@dataclass(frozen=True, slots=True)
class Segmentation:
    """How an encoder cuts documents."""

    length: int
    """Tokens per segment at most."""
    equal: bool = False
    """As few segments as the length allows, all as long as one another (ICAE); otherwise all but the last are full."""

    def bounds(self, n_tokens: int) -> list[tuple[int, int]]:
        """Token ranges of a document's segments."""
        if not self.equal:
            return segment_bounds(n_tokens, self.length)
        n_segments = -(-n_tokens // self.length)
        return segment_bounds(n_tokens, -(-n_tokens // n_segments)) if n_segments else []

    def count_kept(self, stored: Sequence[str], wanted: Sequence[str]) -> int:
        """How many leading segments of a document can be taken from a stored one, by their prefix hashes.

        Equal segments are kept all or none: what is left of a document would be cut in another way than it is in the whole.
        """
        count = count_common(stored, wanted)
        return 0 if self.equal and count < len(wanted) else count


def segment_bounds(n_tokens: int, segment_length: int) -> list[tuple[int, int]]:
    """Token ranges of the segments. The remainder is a segment of its own, however short (method: n = ceil(T / L))."""
    cuts = [*range(0, n_tokens, segment_length), n_tokens]
    return list(pairwise(cuts))


def prefix_hashes(encoder_fingerprint: str, token_ids: np.ndarray, bounds: list[tuple[int, int]]) -> list[str]:
    """One 32-digit hash per segment over the encoder and all tokens up to the segment's end."""
    chain = hashlib.sha256(encoder_fingerprint.encode())
    hashes = []
    for start, end in bounds:
        chain.update(f"|{end - start}|".encode())  # the cut is part of the identity
        chain.update(token_ids[start:end].astype("<u4").tobytes())
        hashes.append(chain.hexdigest()[:32])
    return hashes


def count_common(stored: Sequence[str], wanted: Sequence[str]) -> int:
    """How many leading segments two texts have in common, by their prefix hashes. The longer list may go on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(stored, wanted, strict=False)))
