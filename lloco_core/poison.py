"""A document that kills its encoder worker: found, rejected, and the rest of its shard encoded.

Ray replaces a dead worker and repeats its shards for ever. So every attempt at a shard is noted in the store (`store.attempts`).
After two deaths the shard's documents are encoded one by one, each noted, with the encoder to itself; a document during which a
worker died twice is rejected. Whatever else a worker was doing when it died is not blamed. Called by the encoder actors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lloco_core.store.attempts import WHOLE, ShardAttempts
from lloco_core.types import CompressedShard, Rejection, TokenizedDocument, TokenizedShard

if TYPE_CHECKING:
    from lloco_core.encoder_turns import EncoderTurns
    from lloco_core.objects import Objects

DEATHS_TOGETHER = 2
"""Of workers, before a shard's documents are encoded one by one."""
DEATHS_ALONE = 2
"""Of workers, before a document is rejected: one may have had another cause."""

Compress = Callable[[TokenizedShard], CompressedShard]


def compress_bounded(shard: TokenizedShard, compress: Compress, objects: Objects, turns: EncoderTurns) -> CompressedShard:
    """Call `compress` for a shard, or for its documents one by one after workers died of it. May be called from several threads."""
    attempts = ShardAttempts(objects, shard.shard.plan_id, shard.shard.shard_id)
    deaths = attempts.deaths()
    if deaths.total() >= DEATHS_TOGETHER:
        return _one_by_one(shard, compress, attempts, deaths, turns)
    with turns.shared(), attempts.noted(WHOLE):
        return compress(shard)


def _one_by_one(
    shard: TokenizedShard, compress: Compress, attempts: ShardAttempts, deaths: Counter[str], turns: EncoderTurns
) -> CompressedShard:
    parts, killers = [], []
    for item in shard.documents:
        if deaths[item.document.uri] >= DEATHS_ALONE:
            killers.append(_rejection(item))
            continue
        with turns.alone(), attempts.noted(item.document.uri):
            parts.append(compress(replace(shard, documents=[item], unchanged=[], rejections=[])))
    return _combined(shard, parts, killers)


def _rejection(item: TokenizedDocument) -> Rejection:
    message = f"a worker died twice while it encoded this document of {len(item.token_ids):,} tokens alone"
    step = "read the worker's log, lower encoder.batch_tokens, or split the document; corpus.retry_quarantined tries it again"
    return Rejection(item.document.uri, item.document.etag, "encode", "encoder_killed", f"{message}; {step}")


def _combined(shard: TokenizedShard, parts: list[CompressedShard], killers: list[Rejection]) -> CompressedShard:
    measured = [part for part in parts if part.encoder_id]
    return CompressedShard(
        shard.shard,
        [document for part in parts for document in part.documents],
        shard.unchanged,
        [*shard.rejections, *(rejection for part in parts for rejection in part.rejections), *killers],
        encode_seconds=sum(part.encode_seconds for part in parts),
        encoder_id=measured[0].encoder_id if measured else "",
        encode_started=min((part.encode_started for part in measured), default=None),
        encode_ended=max((part.encode_ended for part in measured), default=None),
    )
