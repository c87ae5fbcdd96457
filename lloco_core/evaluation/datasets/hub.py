"""Where a data set's files are: under a local path, or fetched from the hub by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lloco_core.errors import DatasetError


def locate_files(name_or_path: str | Path, patterns: Sequence[str], revision: str | None = None) -> list[Path]:
    """Files that match one of the patterns, sorted: of a folder, of a hub data set `owner/name`, or the one file given.

    Raises:
        DatasetError: no such path or data set, or no file of it matches.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return [path]
    folder = path if path.is_dir() else _fetch(str(name_or_path), patterns, revision)
    found = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    if not found:
        raise DatasetError(f"{folder} has no file {' or '.join(patterns)}; check the split, or name the file itself")
    return found


def _fetch(name: str, patterns: Sequence[str], revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if name.startswith(("/", ".", "~")) or name.count("/") != 1:
        raise DatasetError(f"{name!r} is neither a file, a folder, nor a hub name of the form owner/name")
    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=list(patterns)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DatasetError(f"data set {name!r}: no such path, not in the local cache, and the hub answered: {error}") from error
