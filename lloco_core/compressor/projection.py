"""The matrix products of a decoder layer: in the model's own number format, or in float8.

Shape suffixes: M positions of a step, I input columns, O output columns.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch.nn.functional import ScalingType

from lloco_core.compressor.operators import Activation, Fp8Rows, quantize_rows


class Projection(Protocol):
    """`x W^T + b`."""

    def __call__(self, x: Activation) -> torch.Tensor:
        """Return the product [M, O]."""
        ...

    def add_to(self, residual_MO: torch.Tensor, x: Activation) -> torch.Tensor | None:
        """Add the product to the residual in place, or return it for the next norm to add."""
        ...

    def part(self, start: int, stop: int | None) -> Projection:
        """The same weights, of some outputs."""
        ...


class NativeProjection:
    """In the weights' own format. Adding to the residual is part of the product's epilogue."""

    def __init__(self, weight_OI: torch.Tensor, bias_O: torch.Tensor | None) -> None:
        self._weight_OI, self._bias_O = weight_OI, bias_O

    def __call__(self, x_MI: torch.Tensor) -> torch.Tensor:
        """Return the product [M, O]."""
        return F.linear(x_MI, self._weight_OI, self._bias_O)

    def add_to(self, residual_MO: torch.Tensor, x_MI: torch.Tensor) -> None:
        """Add the product to the residual in place."""
        residual_MO.addmm_(x_MI, self._weight_OI.t())
        if self._bias_O is not None:
            residual_MO.add_(self._bias_O)

    def part(self, start: int, stop: int | None) -> NativeProjection:
        """The same weights, of some outputs."""
        return NativeProjection(self._weight_OI[start:stop], None if self._bias_O is None else self._bias_O[start:stop])


class Fp8Projection:
    """float8_e4m3 with one scale per output row of the weights and one per position, accumulated in float32."""

    def __init__(self, weight_OI: torch.Tensor, scale_1O: torch.Tensor, bias_O: torch.Tensor | None, dtype: torch.dtype) -> None:
        self._weight_OI, self._scale_1O, self._bias_O, self._dtype = weight_OI, scale_1O, bias_O, dtype

    @classmethod
    def of(cls, weight_OI: torch.Tensor, bias_O: torch.Tensor | None) -> Fp8Projection:
        """Quantise a projection's weights."""
        rows = quantize_rows(weight_OI)
        return cls(rows.values, rows.scale.t(), bias_O, weight_OI.dtype)

    def __call__(self, x: Fp8Rows) -> torch.Tensor:
        """Return the product [M, O]."""
        return F.scaled_mm(
            x.values,
            self._weight_OI.t(),
            x.scale,
            ScalingType.RowWise,
            self._scale_1O,
            ScalingType.RowWise,
            bias=self._bias_O,
            output_dtype=self._dtype,
            use_fast_accum=True,
        )

    def add_to(self, residual_MO: torch.Tensor, x: Fp8Rows) -> torch.Tensor:
        """Return the product [M, O]."""
        return self(x)

    def part(self, start: int, stop: int | None) -> Fp8Projection:
        """The same weights, of some outputs."""
        bias_O = None if self._bias_O is None else self._bias_O[start:stop]
        return Fp8Projection(self._weight_OI[start:stop], self._scale_1O[:, start:stop], bias_O, self._dtype)
