"""Opening and creating the Lance tables of a store, in a folder or on S3.

A table `name` lies at `<store>/<name>.lance`, where LanceDB finds it when it connects to the store's URI.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lance

from lloco_core.errors import CommitError, ConfigurationError, StorageError
from lloco_core.objects import canonical_root, open_objects
from lloco_core.settings import lance_storage_options
from lloco_core.store import schema
from lloco_core.store.vectors import format_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lloco_core.config import VectorFormat

CONTENT_TABLES = ("segments", "passages", "documents")
"""Written by every shard, in commit order: a document becomes visible after everything it refers to."""

TABLES = (*CONTENT_TABLES, "quarantine", "ledger", "adapters")
"""All tables of a store."""


class Store:
    """One store: its tables and the small objects beside them. Cheap to create; holds no open table."""

    def __init__(self, uri: str) -> None:
        self.root = canonical_root(uri)
        if self.root.startswith("s3://") and set("#?%") & set(self.root):
            raise ConfigurationError(f"store.uri {uri}: Lance reads '#', '?', and '%' as URL syntax; use a prefix without them")
        if any(unicodedata.category(char) == "Cc" for char in self.root) or {".", ".."} & set(self.root.split("/")):
            raise ConfigurationError(
                f"store.uri {uri[:200]!r}: Lance reads no control characters and no parts '.' or '..'; use another name"
            )
        self.objects = open_objects(self.root)
        self.storage_options = lance_storage_options() if self.root.startswith("s3://") else None

    def make_root(self) -> None:
        """Make the folder of a new store; a bucket exists before."""
        if self.storage_options is None:
            Path(self.root).mkdir(parents=True, exist_ok=True)

    def table_uri(self, name: str) -> str:
        """Location of a table."""
        return f"{self.root}/{name}.lance"

    def exists(self, name: str) -> bool:
        """Whether a table is there, complete. An unreachable store is an error, not an absent table."""
        is_new_folder = self.storage_options is None and not Path(self.root).is_dir()
        return not is_new_folder and any(item.key.endswith(".manifest") for item in self.objects.list(f"{name}.lance/_versions/"))

    def dataset(self, name: str, version: int | None = None) -> lance.LanceDataset:
        """Open a table, at its newest version by default."""
        try:
            return lance.dataset(self.table_uri(name), version=version, storage_options=self.storage_options)
        except (ValueError, OSError) as error:
            at = f" at version {version}" if version is not None else ""
            raise StorageError(f"table {self.table_uri(name)}{at} cannot be opened: {error}; has an ingest run on this store?") from error

    def create_tables(self, summary_length: int, hidden_size: int, passage_dimension: int, vectors: VectorFormat = "float16") -> None:
        """Create the tables that are missing.

        Raises:
            CommitError: the store holds vectors of another shape or in another format.
        """
        wanted = {
            "segments": schema.segments_schema(summary_length, hidden_size, vectors),
            "passages": schema.passages_schema(passage_dimension),
            "documents": schema.DOCUMENTS,
            "quarantine": schema.QUARANTINE,
            "ledger": schema.LEDGER,
            "adapters": schema.ADAPTERS,
        }
        for name, table_schema in wanted.items():
            if self.exists(name):
                self._add_missing_columns(name, table_schema)
                self._refuse_other_schema(name, table_schema)
            else:
                lance.write_dataset(
                    table_schema.empty_table(),
                    self.table_uri(name),
                    schema=table_schema,
                    mode="create",
                    storage_options=self.storage_options,
                )

    def _add_missing_columns(self, name: str, wanted: pa.Schema) -> None:
        """Columns that came with later releases are nullable: a table of an earlier one gets them, without values."""
        table = self.dataset(name)
        if missing := [field for field in wanted if field.nullable and field.name not in table.schema.names]:
            table.add_columns(missing)

    def _refuse_other_schema(self, name: str, wanted: pa.Schema) -> None:
        found = self.dataset(name).schema
        if (has := format_of(found)) != (writes := format_of(wanted)):
            raise CommitError(
                f"{self.root} holds summary vectors as {has}, this run has store.vectors {writes!r}; "
                f"set store.vectors to {has!r}, or use a new store for {writes}"
            )
        for field in wanted:
            if field.name not in found.names or found.field(field.name).type != field.type:
                kind: Any = found.field(field.name).type if field.name in found.names else "no such column"
                raise CommitError(
                    f"table {name} of {self.root} has {field.name}: {kind}, this run writes {field.type}; "
                    "vectors of another encoder or embedding model need a store of their own"
                )
        if _shape(found) != _shape(wanted):
            raise CommitError(
                f"table {name} of {self.root} has vectors of shape {_shape(found)}, this run writes {_shape(wanted)}; "
                "vectors of another encoder or embedding model need a store of their own"
            )


def _shape(table_schema: pa.Schema) -> str:
    metadata = table_schema.metadata or {}
    return " x ".join(metadata.get(name, b"?").decode() for name in (b"summary_length", b"hidden_size"))
