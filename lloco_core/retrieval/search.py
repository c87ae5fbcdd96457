"""Hybrid search over the passages of a night: vector and full text, fused by reciprocal rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lancedb
from lancedb.rerankers import RRFReranker

from lloco_core.retrieval.text_query import text_query
from lloco_core.store.filters import sql_list
from lloco_core.store.text_index import has_pairs

if TYPE_CHECKING:
    import numpy as np

    from lloco_core.store.read import Night


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage."""

    doc_id: str
    group_id: str
    passage_index: int
    segment_index: int
    char_start: int
    char_end: int
    text: str
    score: float
    """Reciprocal rank fusion of both searches; comparable within one search only."""


def search_passages(
    night: Night, question: str, vector: np.ndarray, top_k: int, group: str | None = None, doc_id: str | None = None
) -> list[Hit]:
    """Return the best passages for a question, best first; of one group or document if given. None where the night has no passages."""
    if night.table("passages").count_rows() == 0:
        return []
    options = night.store.storage_options
    table = lancedb.connect(night.store.root, storage_options=options).open_table("passages")
    table.checkout(night.versions["passages"])
    columns = ["doc_id", "group_id", "passage_index", "segment_index", "char_start", "char_end", "text"]
    words, where = text_query(question, guess=not has_pairs(night.table("passages"))), _where(group, doc_id)
    limit = top_k
    while True:
        query = table.search(query_type="hybrid").vector(vector).text(words).rerank(RRFReranker())
        if where:
            query = query.where(where, prefilter=True)
        rows = query.limit(limit).to_list()
        active = night.active_versions({row["doc_id"] for row in rows}) if rows else set()
        found = [row for row in rows if row["version_id"] in active]  # the table also has documents that wait to be switched to
        if len(found) >= top_k or len(rows) < limit:
            return [Hit(**{name: row[name] for name in columns}, score=row["_relevance_score"]) for row in found[:top_k]]
        limit *= 2


def _where(group: str | None, doc_id: str | None) -> str:
    wanted = {"group_id": group, "doc_id": doc_id}
    return " AND ".join(f"{column} IN ({sql_list([value])})" for column, value in wanted.items() if value is not None)
