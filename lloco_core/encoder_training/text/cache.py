"""A training text as tokens on a local disk, mapped into memory: rows are copied out without Python touching the rest.

A cache is a folder named by a fingerprint of files, tokenizer, and dropped ids, and appears whole or not at all:
`tokens.bin` (uint16, or uint32 for large vocabularies; documents one after another, nothing between them),
`documents.parquet` (id, n_tokens, place between 0 and 1 that decides about validation), `report.json`.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lloco_core.errors import StorageError

TOKENS, DOCUMENTS, REPORT = "tokens.bin", "documents.parquet", "report.json"

FORMAT = 1
"""Part of the fingerprint; raise it when the layout changes."""

SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("n_tokens", pa.int64()), pa.field("place", pa.float64())])

Split = Literal["train", "validation"]


def token_dtype(vocabulary: int) -> np.dtype:
    """The narrowest of the two formats that holds every id."""
    return np.dtype(np.uint16 if vocabulary <= 2**16 else np.uint32)


class TokenCache:
    """A finished cache; cheap to open, and to send to another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.report: dict[str, Any] = json.loads((folder / REPORT).read_text())
            table = pq.read_table(folder / DOCUMENTS, columns=["n_tokens", "place"])
            size = (folder / TOKENS).stat().st_size
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StorageError(f"{folder} is no cache of tokens ({error}); remove the folder, it is made again") from error
        self.n_tokens = table["n_tokens"].to_numpy()
        """Of every document, int64."""
        self.starts = np.concatenate([[0], np.cumsum(self.n_tokens)])
        """Where every document begins, and the end of the last."""
        self._place = table["place"].to_numpy()
        self._dtype = np.dtype(self.report["dtype"])
        if size != self.starts[-1] * self._dtype.itemsize:
            raise StorageError(f"{folder / TOKENS} has {size} bytes, not {self.starts[-1]} tokens; remove the folder, it is made again")

    def __reduce__(self) -> tuple[type[TokenCache], tuple[Path]]:
        return TokenCache, (self.folder,)

    @property
    def contents(self) -> str:
        """A hash of all ids and tokens: the same for the same text wherever its files lie."""
        return self.report["contents"]

    @cached_property
    def tokens(self) -> np.ndarray:
        """All ids, mapped read-only."""
        if not self.starts[-1]:
            return np.zeros(0, self._dtype)  # an empty file cannot be mapped
        return np.memmap(self.folder / TOKENS, dtype=self._dtype, mode="r")

    def documents(self, split: Split, validation: float) -> np.ndarray:
        """Numbers of the documents on one side of the validation share."""
        return np.flatnonzero((self._place < validation) == (split == "validation"))

    def ids(self) -> list[str]:
        """Ids of all documents, read from the disk."""
        return pq.read_table(self.folder / DOCUMENTS, columns=["id"])["id"].to_pylist()
