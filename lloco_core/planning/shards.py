"""Cutting what is to be encoded into shards of about equal work, in one pass over a stream."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from lloco_core.config import StoreConfig


@dataclass(slots=True)
class Cut:
    """The cut of a plan: where each shard begins, and what is in all of them."""

    starts: list[int] = field(default_factory=list)
    """First object of each shard."""
    n_objects: int = 0
    n_reencoded: int = 0
    """Objects that only another encoder makes stale."""
    n_deferred: int = 0
    """Objects left to later nights by `store.reencode_tokens`."""
    n_bytes: int = 0
    n_tokens: int = 0
    """Estimated."""
    identity: str = ""
    """Names the objects and their order."""


def cut_shards(todo: pa.RecordBatchReader, layout: StoreConfig) -> Cut:
    """Fill shards in order until one of `store.shard_tokens` and `store.shard_objects` is reached; a large object has its own.

    Objects to re-encode are taken until `store.reencode_tokens` are reached, at least one.
    """
    cut, identity = Cut(), hashlib.sha256()
    in_shard = shard_tokens = reencoded_tokens = 0
    for batch in todo:
        columns = (batch.column(name).to_pylist() for name in ("uri", "etag", "size", "tokens", "verdict"))
        for uri, etag, size, tokens, verdict in zip(*columns, strict=True):
            if verdict == "reencode":
                reencoded_tokens += tokens
                if cut.n_deferred or (layout.reencode_tokens and cut.n_reencoded and reencoded_tokens > layout.reencode_tokens):
                    cut.n_deferred += 1
                    continue
                cut.n_reencoded += 1
            if not cut.starts or in_shard >= layout.shard_objects or shard_tokens + tokens > layout.shard_tokens:
                cut.starts.append(cut.n_objects)
                in_shard = shard_tokens = 0
            in_shard, shard_tokens = in_shard + 1, shard_tokens + tokens
            cut.n_objects, cut.n_bytes, cut.n_tokens = cut.n_objects + 1, cut.n_bytes + size, cut.n_tokens + tokens
            identity.update(f"{uri}\0{etag}\n".encode("utf-8", "surrogatepass"))
    cut.identity = identity.hexdigest()
    return cut
