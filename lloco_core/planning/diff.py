"""The listing against the store: what is new, changed, moved, gone, or encoded with another encoder.

Joined by DuckDB in a temporary file with a bound on memory, so that a million objects need no more of it than ten thousand.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from lloco_core.corpus.patterns import PathFilter
from lloco_core.corpus.sources import corpus_uri
from lloco_core.corpus.unpacking import CODECS
from lloco_core.objects import PLACE
from lloco_core.planning.listing import listing_batches
from lloco_core.store.documents import stored_documents, stored_quarantine
from lloco_core.store.duplicates import CODE as DUPLICATE
from lloco_core.store.forgetting.forgotten import forgotten_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lloco_core.config import CorpusConfig
    from lloco_core.store.tables import Store

MEMORY_LIMIT = "1GB"
"""Of DuckDB; beyond it joins and sorts go to temporary files."""
THREADS = 4
"""Of DuckDB; each needs a share of its memory, so on a machine with many cores it would run out."""
SLICE = 50_000
"""Objects whose stored versions are collected at once: lists do not go to temporary files."""

TOKENS_PER_BYTE = {"html": 0.12, "htm": 0.12, "pdf": 0.03, "docx": 0.06, "docm": 0.06, "parquet": 0.5, "jsonl": 0.22, "pptx": 0.01}
TOKENS_PER_BYTE |= {"xlsx": 0.3, "epub": 0.2, "eml": 0.1, "mht": 0.05, "mhtml": 0.05, "rtf": 0.1, "ipynb": 0.05}
"""Rough, by suffix; English text has about four bytes a token. Only the cut into shards and the estimate of a dry run depend on it."""
TEXT_TOKENS_PER_BYTE = 0.25
UNPACKED = 4
"""Bytes that a byte of an archive stands for, roughly."""
ARCHIVES = "|".join(suffix.removeprefix(".") for suffix in CODECS)

_LISTING = """
CREATE TABLE listing AS
SELECT row_number() OVER (ORDER BY relative_path, uri) - 1 AS position, *
FROM listing_raw WHERE NOT list_contains($forgotten::VARCHAR[], sha256(uri)) AND (NOT $again OR uri IN (FROM chosen))
QUALIFY row_number() OVER (PARTITION BY uri ORDER BY etag) = 1  -- an inventory may list a key twice
"""

_FOUND = """
CREATE TABLE found AS
SELECT l.position,
       coalesce(bool_or(s.etag = l.etag AND s.encoder_fingerprint = $encoder), false) AS is_stored,
       coalesce(bool_or(s.etag = l.etag) OR bool_or(regexp_replace(s.etag, $place, '') = regexp_replace(l.etag, $place, ''))
                AND NOT bool_or(s.encoder_fingerprint = $encoder), false) AS has_version,
       coalesce(bool_or(d.source_uri IS NOT NULL), false) AS may_claim,
       count(DISTINCT s.doc_id) AS n_documents,
       coalesce(sum(s.n_tokens) FILTER (WHERE s.status = 'active'), 0) AS known_tokens,
       min(s.group_id) AS known_group
FROM listing l LEFT JOIN stored s ON s.source_uri = l.uri LEFT JOIN claimable d ON d.source_uri = l.uri AND d.etag = l.etag
GROUP BY l.position
"""

_JUDGED = """
CREATE TABLE judged AS
SELECT l.*, f.is_stored, f.has_version, f.n_documents, coalesce(q.n, 0) AS n_rejected,
       coalesce(f.known_group, '') AS known_group,
       CASE WHEN f.may_claim OR $again THEN 'fresh'
            WHEN f.is_stored AND NOT (coalesce(q.n, 0) > 0 AND $retry) THEN 'unchanged'
            WHEN coalesce(q.n, 0) > 0 AND NOT f.has_version AND NOT $retry THEN 'quarantined'
            WHEN f.has_version AND NOT f.is_stored THEN 'reencode'
            ELSE 'fresh' END AS verdict,
       CASE WHEN f.has_version AND f.known_tokens > 0 THEN CAST(f.known_tokens AS BIGINT)
            ELSE CAST(ceil(l.size * coalesce(t.factor, $text)
                      * CASE WHEN regexp_matches(lower(l.uri), '\\.({archives})$') THEN $unpacked ELSE 1 END) AS BIGINT) END AS tokens
FROM listing l
JOIN found f ON f.position = l.position
LEFT JOIN quarantined q ON q.source_uri = l.uri AND q.etag = l.etag
LEFT JOIN factors t ON t.suffix = regexp_extract(lower(l.uri), '\\.([a-z0-9]+)(\\.({archives}))?$', 1)
""".replace("{archives}", ARCHIVES)

_GONE = """
CREATE TABLE gone AS
SELECT s.doc_id, s.version_id, s.source_uri, s.etag
FROM stored s ANTI JOIN listing l ON l.uri = s.source_uri
WHERE NOT $again AND (s.corpus_uri = $corpus OR (s.corpus_uri IS NULL AND starts_with(s.source_uri, $folder)))
"""

_REMOVED = """
CREATE TABLE removed AS
SELECT doc_id, version_id, source_uri FROM gone
UNION ALL
SELECT DISTINCT NULL, NULL, r.source_uri FROM rejected r ANTI JOIN listing l ON l.uri = r.source_uri
WHERE NOT $again AND (r.corpus_uri = $corpus OR (r.corpus_uri IS NULL AND starts_with(r.source_uri, $folder)))
  AND r.source_uri NOT IN (SELECT source_uri FROM gone)
"""

_TODO = """
CREATE TABLE todo AS
SELECT row_number() OVER (
           ORDER BY verdict = 'reencode', CASE WHEN verdict = 'reencode' THEN known_group ELSE '' END, position
       ) - 1 AS place, *
FROM judged WHERE verdict IN ('fresh', 'reencode')
"""

_KNOWN = """
SELECT t.uri, t.etag, t.size, t.relative_path, t.metadata, t.place, k.versions AS known
FROM todo t LEFT JOIN (
    SELECT place, to_json(list({'doc_id': doc_id, 'uri': uri, 'source_uri': source_uri, 'version_id': version_id,
                                'content_hash': content_hash, 'group': group_id, 'encoder_fingerprint': encoder_fingerprint,
                                'n_tokens': n_tokens, 'n_segments': n_segments, 'status': status,
                                'is_current': encoder_fingerprint = $encoder})) AS versions
    FROM known WHERE place >= $first AND place < $end GROUP BY place
) k ON k.place = t.place
WHERE t.place >= $first AND t.place < $end ORDER BY t.place
"""

_KNOWN_ROWS = """
CREATE TABLE known AS
SELECT t.place, s.* FROM todo t JOIN stored s ON s.source_uri = t.uri
"""

_CLAIMS = """
CREATE TABLE claims AS
WITH waiting AS (
    SELECT r.doc_id, r.source_uri, r.etag FROM rejected r JOIN listing l ON l.uri = r.source_uri AND l.etag = r.etag
    WHERE r.code = $duplicate AND r.doc_id IS NOT NULL
), taken AS (
    SELECT s.doc_id FROM stored s SEMI JOIN waiting w ON w.doc_id = s.doc_id
    ANTI JOIN gone g ON g.source_uri = s.source_uri AND g.doc_id = s.doc_id
)
SELECT w.doc_id, w.source_uri, w.etag FROM waiting w ANTI JOIN taken t ON t.doc_id = w.doc_id
QUALIFY row_number() OVER (PARTITION BY w.doc_id ORDER BY w.source_uri) = 1  -- the others would be encoded for nothing
"""

_CLAIMABLE = "CREATE TABLE claimable AS SELECT DISTINCT source_uri, etag FROM claims"

_MOVED = """
SELECT coalesce(sum(least(g.n, t.n)), 0) + (SELECT count(DISTINCT (doc_id, source_uri)) FROM gone SEMI JOIN claims USING (doc_id))
FROM (
    SELECT regexp_replace(etag, $place, '') AS content, count(DISTINCT (doc_id, source_uri)) AS n FROM gone
    ANTI JOIN claims USING (doc_id) GROUP BY ALL
) g
JOIN (SELECT regexp_replace(etag, $place, '') AS content, count(*) AS n FROM todo WHERE NOT has_version GROUP BY ALL) t USING (content)
"""


def _noting(batches: pa.RecordBatchReader, failed: list[Exception]) -> Iterator[pa.RecordBatch]:
    """The batches; an error on the way is noted, as DuckDB passes on no more than its text."""
    try:
        yield from batches
    except Exception as error:
        failed.append(error)
        raise


class CorpusDiff:
    """A corpus compared with a store, for one encoder. A context manager: the comparison lies in a temporary file.

    With `again`, only these objects of the corpus are looked at, all of them are to be read, and nothing is gone.
    """

    def __init__(self, corpus: CorpusConfig, store: Store, encoder_fingerprint: str, again: Collection[str] | None = None) -> None:
        self.corpus = corpus
        self.corpus_uri = corpus_uri(corpus)
        self.store = store
        self.encoder_fingerprint = encoder_fingerprint
        self._again = again
        self._folder = tempfile.TemporaryDirectory(prefix="lloco-plan-")
        self._tables: duckdb.DuckDBPyConnection | None = None
        self._paths = PathFilter(corpus)

    def __enter__(self) -> CorpusDiff:
        options = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "temp_directory": self._folder.name}
        options |= {"autoinstall_known_extensions": False, "preserve_insertion_order": False}
        self._tables = duckdb.connect(f"{self._folder.name}/plan.duckdb", config=options)
        self._run("SET enable_progress_bar = false")
        self._load("listing_raw", listing_batches(self.corpus, self.store.root, self._paths))
        again = self._again is not None
        self._run("CREATE TABLE chosen AS SELECT unnest($uris::VARCHAR[]) AS uri", uris=sorted(self._again or ()))
        self._run(_LISTING, forgotten=sorted(forgotten_names(self.store.objects)), again=again)
        self._load("stored", stored_documents(self.store))
        self._load("rejected", stored_quarantine(self.store))
        self._run("CREATE TABLE quarantined AS SELECT source_uri, etag, CAST(sum(n_documents) AS BIGINT) AS n FROM rejected GROUP BY ALL")
        self._run("CREATE TABLE factors (suffix VARCHAR, factor DOUBLE)")
        for suffix, factor in TOKENS_PER_BYTE.items():
            self._run("INSERT INTO factors VALUES ($suffix, $factor)", suffix=suffix, factor=factor)
        own = {"corpus": self.corpus_uri, "folder": self.corpus_uri.rstrip("/") + "/", "again": again}
        self._run(_GONE, **own)
        self._run(_CLAIMS, duplicate=DUPLICATE)
        self._run(_CLAIMABLE)
        self._run(_FOUND, encoder=self.encoder_fingerprint, place=PLACE)
        self._run(_JUDGED, retry=self.corpus.retry_quarantined, text=TEXT_TOKENS_PER_BYTE, unpacked=UNPACKED, again=again)
        self._run(_REMOVED, **own)
        self._run(_TODO)
        self._run(_KNOWN_ROWS)
        return self

    def __exit__(self, *exc: object) -> None:
        self._tables.close()
        self._folder.cleanup()

    def counts(self) -> dict[str, int]:
        """Objects and documents by what is to be done with them, and files that are never documents. Of objects that are read again: what
        they had so far."""
        [row] = self._rows(
            "SELECT count(*), count(*) FILTER (WHERE verdict = 'unchanged'), "
            "coalesce(sum(n_documents) FILTER (WHERE verdict = 'unchanged' OR $again), 0), "
            "coalesce(sum(n_rejected) FILTER (WHERE verdict IN ('unchanged', 'quarantined') OR $again), 0) FROM judged",
            again=self._again is not None,
        )
        [(n_stored,)] = self._rows("SELECT count(DISTINCT doc_id) FROM stored WHERE corpus_uri = $corpus", corpus=self.corpus_uri)
        [(n_gone,)] = self._rows("SELECT count(DISTINCT (doc_id, source_uri)) FROM gone")
        [(n_resolved,)] = self._rows("SELECT count(*) FROM removed WHERE doc_id IS NULL")
        [(n_moved,)] = self._rows(_MOVED, place=PLACE)
        names = ("n_objects", "n_unchanged", "n_stored_documents", "n_quarantined")
        found = dict(zip(names, map(int, row), strict=True))
        found["n_ignored"] = self._paths.n_ignored
        return found | {"n_known_documents": n_stored, "n_removed": n_gone, "n_moved": int(n_moved), "n_resolved": n_resolved}

    def todo(self) -> pa.RecordBatchReader:
        """What is to be encoded, in the order of the plan: uri, etag, size, tokens, verdict. New and changed objects come first,
        then those that only another encoder makes stale, group by group."""
        return self._tables.sql("SELECT uri, etag, size, tokens, verdict FROM todo ORDER BY place").to_arrow_reader(10_000)

    def planned(self, limit: int) -> pa.RecordBatchReader:
        """The first `limit` objects to encode with what the store knows of them, as `store.plans` keeps them."""
        slices = (self._planned(first, min(first + SLICE, limit)) for first in range(0, limit, SLICE))
        found = next(slices)
        return pa.RecordBatchReader.from_batches(found.schema, chain(found, chain.from_iterable(slices)))

    def removed(self) -> pa.RecordBatchReader:
        """Versions of documents of this corpus whose object is gone: doc_id, version_id, source_uri. Only the last where an object
        was in quarantine."""
        return self._tables.sql("SELECT doc_id, version_id, source_uri FROM removed ORDER BY ALL").to_arrow_reader(10_000)

    def n_removed(self) -> int:
        """Rows of `removed`."""
        return self._rows("SELECT count(*) FROM removed")[0][0]

    def other_groups(self) -> list[str]:
        """Groups that readers see with vectors of another encoder."""
        rows = self._rows(
            "SELECT DISTINCT group_id FROM stored WHERE status = 'active' AND encoder_fingerprint != $encoder ORDER BY ALL",
            encoder=self.encoder_fingerprint,
        )
        return [group for (group,) in rows]

    def _planned(self, first: int, end: int) -> pa.RecordBatchReader:
        values = {"first": first, "end": end, "encoder": self.encoder_fingerprint}
        return self._tables.sql(_KNOWN, params=values).to_arrow_reader(10_000)

    def _load(self, table: str, batches: pa.RecordBatchReader) -> None:
        failed: list[Exception] = []
        self._tables.register("batches", pa.RecordBatchReader.from_batches(batches.schema, _noting(batches, failed)))
        try:
            self._run(f"CREATE TABLE {table} AS SELECT * FROM batches")
        except duckdb.Error as error:
            raise (failed[0] if failed else error) from None
        finally:
            self._tables.unregister("batches")

    def _run(self, statement: str, **values: Any) -> None:
        self._tables.execute(statement, values)

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._tables.execute(statement, values).fetchall()
