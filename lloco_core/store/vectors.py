"""Formats in which a segments table keeps summary vectors: 16 bits a number, or 8 bits with one scale per vector.

Both 8-bit formats are symmetric and round to nearest, ties to even: `value = stored * scale`, with the scale chosen so that a
vector's largest magnitude takes the format's largest number. Arrow and Lance have no type for 8-bit floats, so theirs are bytes,
laid out as in "FP8 Formats for Deep Learning" (Micikevicius et al. 2022): sign, 4 bits exponent (bias 7), 3 bits mantissa, no
infinities. A table names its format in its schema metadata; readers need no configuration.

Shape suffixes: S vectors, H hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from lloco_core.config import VectorFormat
from lloco_core.errors import EncodingError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = "vectors"
"""In the schema metadata of a segments table. Tables made before there was a choice lack it and hold float16."""

CONTINUABLE: tuple[VectorFormat, ...] = ("float16",)
"""Formats whose vectors may be carried into the encoding of later segments: what is read back is what the encoder gave to the store."""

STORED_DTYPES: dict[VectorFormat, np.dtype] = {
    "float16": np.dtype(np.float16),
    "int8": np.dtype(np.int8),
    "float8_e4m3": np.dtype(np.uint8),
}
LARGEST: dict[VectorFormat, float] = {"int8": 127, "float8_e4m3": 448}
"""The number that a vector's largest magnitude becomes. Formats that are not here have no scales."""
EXPONENT_BITS = np.uint16(0x7C00)
"""Of a float16; all are set where a number is not finite. `numpy.isfinite` is thirty times slower than looking at them."""


def pack(summary_SH: np.ndarray, form: VectorFormat) -> tuple[np.ndarray, np.ndarray | None]:
    """Bring vectors into a stored format.

    Args:
        summary_SH: vectors [S, H], float16 or float32, finite in float16.
        form: the table's format.

    Returns:
        Values [S, H] of the stored dtype (the given array where there is nothing to convert), and scales [S] float32, or None where the
        format has none.

    Raises:
        EncodingError: a number is not finite in float16.
    """
    with np.errstate(over="ignore"):
        half_SH = summary_SH.astype(np.float16, order="C", copy=False)
    if not all_finite(half_SH):
        rows = np.flatnonzero(~np.isfinite(half_SH).all(axis=1))
        raise EncodingError(
            f"{len(rows)} of {len(half_SH)} vectors, the first at {rows[0]}, are not finite in float16 and cannot be stored; "
            "encode in float32 or bfloat16, or check the checkpoint"
        )
    if form == "float16":
        return half_SH, None
    wide_SH = summary_SH.astype(np.float32)
    largest_S = np.abs(wide_SH).max(axis=1)
    scales_S = np.where(largest_S > 0, largest_S / np.float32(LARGEST[form]), np.float32(1))  # of a zero vector any scale will do
    scaled_SH = wide_SH / scales_S[:, None]
    return (np.rint(scaled_SH).astype(np.int8) if form == "int8" else _to_float8(scaled_SH)), scales_S


def all_finite(half: np.ndarray) -> bool:
    """Whether no float16 of a contiguous array is infinite or not a number."""
    return (half.view(np.uint16) & EXPONENT_BITS).max(initial=0) != EXPONENT_BITS


def unpack(values_SH: np.ndarray, scales_S: np.ndarray | None, form: VectorFormat) -> np.ndarray:
    """Vectors [S, H] float16 from what `pack` returned for this format."""
    if form == "float16":
        return values_SH
    wide_SH = values_SH.astype(np.float32) if form == "int8" else _FLOAT8_VALUES[values_SH]
    return (wide_SH * scales_S[:, None]).astype(np.float16)


def format_of(table_schema: pa.Schema) -> VectorFormat:
    """The format a segments table names in its metadata.

    Raises:
        StorageError: a format that this version does not know.
    """
    found = (table_schema.metadata or {}).get(METADATA_KEY.encode(), b"float16").decode()
    if found not in get_args(VectorFormat):
        raise StorageError(f"vectors are stored as {found!r}, this version reads {', '.join(get_args(VectorFormat))}; install a newer one")
    return found


def describe_vectors(table_schema: pa.Schema) -> str:
    """How a segments table keeps its vectors, for people: `int8, 516 bytes each`."""
    form = format_of(table_schema)
    return f"{form}, {bytes_per_vector(int(table_schema.metadata[b'hidden_size']), form):,} bytes each"


def bytes_per_vector(hidden_size: int, form: VectorFormat) -> int:
    """Bytes of one vector with its scale, before Lance compresses anything."""
    return hidden_size * STORED_DTYPES[form].itemsize + (4 if form in LARGEST else 0)


def _to_float8(scaled_SH: np.ndarray) -> np.ndarray:
    import torch  # only workers write, and they have it loaded

    return torch.from_numpy(scaled_SH).to(torch.float8_e4m3fn).view(torch.uint8).numpy()


def _float8_values() -> np.ndarray:
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, code & 7
    magnitude = np.where(exponent == 0, np.ldexp(mantissa, -9), np.ldexp(8 + mantissa, exponent - 10))
    magnitude[code & 127 == 127] = np.nan
    return np.where(code < 128, magnitude, -magnitude).astype(np.float32)


_FLOAT8_VALUES = _float8_values()
"""What each of the 256 bytes stands for; spares readers an import of torch."""
