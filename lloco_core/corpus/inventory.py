"""A corpus as an inventory lists it: an S3 Inventory report, or a table with `key`, `size`, and `etag`.

Listing a million objects takes a thousand requests, an inventory a few. Keys outside `corpus.uri` are left out. The formats are
those of the S3 user guide, "Amazon S3 Inventory list": CSV.gz without a header, with URL-encoded keys, or Parquet.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import pyarrow as pa

from lloco_core.config import CorpusConfig
from lloco_core.corpus.patterns import PathFilter, stated_codec
from lloco_core.errors import ConfigurationError
from lloco_core.objects import S3Objects, open_at, open_objects

if TYPE_CHECKING:
    from lloco_core.objects import Objects

NAMES = {"bucket": "bucket", "key": "key", "size": "size", "etag": "etag", "islatest": "latest", "isdeletemarker": "deleted"}
"""Columns that are read, by their names in lower case without underscores."""


@dataclass(frozen=True, slots=True)
class _Report:
    """Where the rows of an inventory lie and how they are written."""

    objects: Objects
    keys: tuple[str, ...]
    columns: tuple[str, ...] | None
    """Of CSV without a header."""
    encoded_keys: bool


def inventory_batches(config: CorpusConfig, paths: PathFilter | None = None) -> Iterator[pa.RecordBatch]:
    """Listed objects: uri, etag, size, relative_path, and empty metadata. `paths` counts what is ignored.

    Raises:
        ConfigurationError: the inventory has not the columns, or none of its keys lies below `corpus.uri`.
        StorageError: it cannot be read.
    """
    root, paths = open_objects(config.uri), paths or PathFilter(config)
    n_listed = n_kept = 0
    for rows in _tables(config.inventory):
        n_listed += rows.num_rows
        batch = _listed(rows, root, paths, config)
        n_kept += batch.num_rows
        yield batch
    if not n_kept:
        raise paths.refuse_nothing(n_listed)


def _listed(rows: pa.Table, root: Objects, paths: PathFilter, config: CorpusConfig) -> pa.RecordBatch:
    prefix = f"{root.prefix}/" if isinstance(root, S3Objects) and root.prefix else ""
    bucket = root.bucket if isinstance(root, S3Objects) else None
    columns = rows.to_pydict()
    buckets = columns.get("bucket") or [bucket] * rows.num_rows
    kept = [
        (key[len(prefix) :], etag.strip('"'), int(size))
        for key, etag, size, of_bucket in zip(columns["key"], columns["etag"], columns["size"], buckets, strict=True)
        if key.startswith(prefix) and not key.endswith("/") and of_bucket in (bucket, None) and not paths.ignores(key[len(prefix) :])
    ]
    kept = [item for item in kept if paths.keeps(item[0])]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([root.uri(path) for path, _, _ in kept], pa.string()),
            pa.array([_versioned(etag, path, config) for path, etag, _ in kept], pa.string()),
            pa.array([size for _, _, size in kept], pa.int64()),
            pa.array([path for path, _, _ in kept], pa.string()),
            pa.nulls(len(kept), pa.string()),
        ],
        names=["uri", "etag", "size", "relative_path", "metadata"],
    )


def _versioned(etag: str, path: str, config: CorpusConfig) -> str:
    codec = stated_codec(path, config)
    return f"{etag}-{codec}" if codec else etag


def _tables(uri: str) -> Iterator[pa.Table]:
    report = _open_report(uri)
    for key in report.keys:
        data = report.objects.get(key)
        try:
            for batch in _parquet(data) if key.endswith(".parquet") else _csv(data, key, report.columns):
                yield _named(batch, uri, report.encoded_keys)
        except (pa.ArrowException, OSError) as error:
            raise ConfigurationError(f"inventory {uri}: {key} cannot be read: {error}; is it complete?") from error


def _open_report(uri: str) -> _Report:
    objects, name = open_at(uri)
    if not name.endswith(".json"):
        return _Report(objects, (name,), None, encoded_keys=False)
    manifest = _manifest(uri, objects.get(name))
    destination = manifest["destinationBucket"].rpartition(":")[2]
    files = tuple(item["key"] for item in manifest["files"])
    columns = tuple(column.strip() for column in manifest["fileSchema"].split(",")) if manifest["fileFormat"] == "CSV" else None
    return _Report(open_objects(f"s3://{destination}"), files, columns, encoded_keys=columns is not None)


def _manifest(uri: str, data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
        if manifest["fileFormat"] not in ("CSV", "Parquet"):
            raise ConfigurationError(f"inventory {uri} has the format {manifest['fileFormat']}; configure it as CSV or Parquet")
        return {name: manifest[name] for name in ("destinationBucket", "fileFormat", "fileSchema", "files")}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"inventory {uri} is no manifest of S3 Inventory ({type(error).__name__}: {error}); name its manifest.json"
        ) from error


def _parquet(data: bytes) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    yield from pq.ParquetFile(io.BytesIO(data)).iter_batches(batch_size=65_536)


def _csv(data: bytes, key: str, columns: tuple[str, ...] | None) -> Iterator[pa.RecordBatch]:
    from pyarrow import csv

    source = pa.CompressedInputStream(pa.BufferReader(data), "gzip") if key.endswith(".gz") else pa.BufferReader(data)
    names = csv.ReadOptions(column_names=list(columns) if columns else None, block_size=8 * 2**20)
    yield from csv.open_csv(source, names, convert_options=csv.ConvertOptions(column_types={name: pa.string() for name in columns or ()}))


def _named(batch: pa.RecordBatch, uri: str, encoded_keys: bool) -> pa.Table:
    found = {NAMES[short]: name for name in batch.schema.names if (short := name.lower().replace("_", "")) in NAMES}
    if missing := {"key", "size", "etag"} - set(found):
        raise ConfigurationError(
            f"inventory {uri} has no column {sorted(missing)}, only {batch.schema.names}; add size and ETag to its fields"
        )
    rows = pa.table({name: batch.column(column) for name, column in found.items()})
    if "latest" in found or "deleted" in found:
        rows = pa.Table.from_pylist([row for row in rows.to_pylist() if _is_current(row)], schema=rows.schema)
    if encoded_keys:
        keys = [unquote_plus(key) for key in rows["key"].to_pylist()]
        rows = rows.set_column(rows.schema.get_field_index("key"), "key", pa.array(keys, pa.string()))
    return rows


def _is_current(row: dict[str, Any]) -> bool:
    return str(row.get("latest", True)).lower() != "false" and str(row.get("deleted", False)).lower() != "true"
