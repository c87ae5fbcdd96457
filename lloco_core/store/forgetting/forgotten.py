"""What a store remembers of a document that it was told to forget: `_forgotten/<digest of the id>.json`, and the report as text beside it.

The record is written before anything is removed, and again after every stage, always under the commit lease: a run that was killed
is finished by the next one. It keeps the document's id, hashes of its URIs, its groups, and where it was held; neither text, title,
nor URI. It stays for good: an ingest leaves out what it names.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lloco_core.fingerprint import digest, digest_bytes
from lloco_core.types import Document

if TYPE_CHECKING:
    from lloco_core.objects import Objects
    from lloco_core.types import Rejection

PREFIX = "_forgotten/"


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a document in one table at one version."""

    table: str
    version: int
    night: str
    """The night of this version; `newest` for the newest version where it is no night's."""
    rows: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One forgotten document."""

    doc_id: str
    uri_hashes: tuple[str, ...]
    """`name_hash` of every URI it was stored under."""
    groups: tuple[str, ...]
    forgotten_at: str
    """ISO time, UTC."""
    retention_days: float
    """How long versions that hold it are kept."""
    rows: tuple[TableRows, ...] = ()
    adapters: tuple[str, ...] = ()
    """Adapters that were trained on it."""
    objects: tuple[str, ...] = field(default=())
    """Objects beside the tables that held something of it."""
    erased_at: str | None = None
    """Since when the newest versions and the newest night are without it."""
    clean_night: str | None = None
    """The first night without it; None where the store had no night."""
    finished_at: str | None = None
    """Since when no version and no file holds it."""

    @property
    def due_at(self) -> datetime:
        """When the versions that hold it may be removed."""
        return datetime.fromisoformat(self.forgotten_at) + timedelta(days=self.retention_days)


def name_hash(name: str) -> str:
    """The SHA-256 by which the URI or the id of a forgotten document is known again."""
    return digest_bytes(name.encode("utf-8", "surrogatepass"), 64)


def forgotten_documents(objects: Objects) -> list[Forgotten]:
    """All forgotten documents, whatever is left to do for them."""
    return [_parse(objects.get(item.key)) for item in objects.list(PREFIX) if item.key.endswith(".json")]


def forgotten_names(objects: Objects) -> frozenset[str]:
    """What an ingest has to leave out: a document is forgotten when the `name_hash` of its URI or its id is among these."""
    items = forgotten_documents(objects)
    return frozenset(value for item in items for value in (*item.uri_hashes, name_hash(item.doc_id)))


def is_forgotten(found: Document | Rejection, names: frozenset[str]) -> bool:
    """Whether something read from a corpus is to be left out; `names` as of `forgotten_names`."""
    return name_hash(found.uri) in names or (isinstance(found, Document) and name_hash(found.doc_id) in names)


def find_forgotten(objects: Objects, doc_id: str) -> Forgotten | None:
    """The record of one document."""
    key = _key(doc_id)
    return _parse(objects.get(f"{key}.json")) if objects.stat(f"{key}.json") else None


def save_forgotten(objects: Objects, item: Forgotten) -> Forgotten:
    """Write a record, then its report."""
    key = _key(item.doc_id)
    objects.put(f"{key}.json", json.dumps(asdict(item), indent=2).encode())
    objects.put(f"{key}.txt", describe_forgotten(item).encode())
    return item


def describe_forgotten(item: Forgotten) -> str:
    """The report as text: what held the document, and what has been removed."""
    lines = [f"document {item.doc_id}", f"groups: {', '.join(item.groups) or 'none'}", "rows:"]
    lines += [f"  {row.rows} in {row.table}, version {row.version}, night {row.night}" for row in item.rows] or ["  none"]
    lines += ["adapters trained on it, to be retrained:", *(f"  {name}" for name in item.adapters or ("none",))]
    lines += ["objects:", *(f"  {key}" for key in item.objects or ("none",))]
    lines.append(f"forgotten: {item.forgotten_at}")
    lines.append(f"removed from the newest tables, objects, and night {item.clean_night or '-'}: {item.erased_at or 'not yet'}")
    lines.append(f"removed from old versions: {item.finished_at or f'due {item.due_at:%Y-%m-%d %H:%M} UTC'}")
    return "\n".join(lines) + "\n"


def _parse(data: bytes) -> Forgotten:
    fields = json.loads(data)
    for name in ("uri_hashes", "groups", "adapters", "objects"):
        fields[name] = tuple(fields[name])
    fields["rows"] = tuple(TableRows(**row) for row in fields["rows"])
    return Forgotten(**fields)


def _key(doc_id: str) -> str:
    return f"{PREFIX}{digest(doc_id)}"  # an id may be as long as a file name cannot be
