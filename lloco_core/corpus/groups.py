"""Which group a document belongs to, as far as its folder and metadata say.

Group names become parts of adapter ids, URLs, and file names, so they are `[a-z0-9][a-z0-9._-]{0,62}`. Two different raw
names never share a group. Called while parsing; groups by clustering are found later (`clustering.py`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from lloco_core.config import CorpusConfig
from lloco_core.corpus.reasons import Reason, Rejected
from lloco_core.fingerprint import digest
from lloco_core.types import UNGROUPED

_VALID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIGEST_LENGTH = 10
_MADE = re.compile(rf".*-[0-9a-f]{{{_DIGEST_LENGTH}}}|cluster-\d+|{UNGROUPED}")
"""Names that are given here, or to clusters: a folder that happens to be called so must not join their group."""


def group_name(raw: str) -> str:
    """Turn any name into a valid group name; valid names stay, others, and those that could be a slug, become a slug and a digest."""
    raw = unicodedata.normalize("NFC", raw)
    if _VALID.fullmatch(raw) and not _MADE.fullmatch(raw):
        return raw
    ascii_name = unicodedata.normalize("NFKD", raw).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9._]+", "-", ascii_name).strip("._-")[: 62 - _DIGEST_LENGTH].rstrip("._-")
    return f"{slug or 'group'}-{digest(raw, _DIGEST_LENGTH)}"


def group_of(relative_path: str, metadata: dict[str, Any], config: CorpusConfig) -> str | None:
    """Find a document's group by `corpus.group_by`; None leaves it to clustering.

    Raises:
        Rejected: `no_group`.
    """
    if config.group_by == "cluster":
        return None
    field = metadata.get(config.group_field)
    folder, separator, _ = relative_path.partition("/")
    if config.group_by in ("field", "auto") and _is_name(field):
        return group_name(str(field).strip())
    if config.group_by in ("folder", "auto") and separator:
        return group_name(folder)
    if config.group_by == "auto":
        return None
    missing = f"metadata field {config.group_field!r}" if config.group_by == "field" else f"folder in {relative_path!r}"
    raise Rejected(Reason.NO_GROUP, f"corpus.group_by is {config.group_by!r} but there is no {missing}; add one or set group_by to 'auto'")


def _is_name(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip())) or (isinstance(value, int) and not isinstance(value, bool))
