"""How far the vectors of two engines lie apart."""

from __future__ import annotations

import torch

CARD_SEGMENTS, CPU_SEGMENTS = (1.3, 4.6, 9.0), (0.5, 1.3, 3.2)
"""Segments of the documents compared: few enough for float32, enough for errors to travel from segment to segment."""


def compare(vectors: list[torch.Tensor], expected: list[torch.Tensor]) -> dict[str, float | int]:
    """Cosine per vector (mean, least), relative error of all values, largest difference, and number of vectors."""
    left, right = torch.cat(vectors).double(), torch.cat(expected).double()
    cosine = torch.nn.functional.cosine_similarity(left, right, dim=1)
    return {
        "cosine_mean": float(cosine.mean()),
        "cosine_min": float(cosine.min()),
        "relative_error": float((left - right).norm() / right.norm()),
        "largest_difference": float((left - right).abs().max()),
        "documents": len(vectors),
        "vectors": len(left),
    }
