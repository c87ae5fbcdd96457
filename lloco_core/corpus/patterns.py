"""What the paths of a listing say: whether they belong to the corpus, and which encoding is stated for them."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

from lloco_core.config import CorpusConfig
from lloco_core.corpus.charsets.labels import codec_of
from lloco_core.errors import ConfigurationError

_FORGOTTEN = re.compile(r"(^|/)_forgotten/[0-9a-f]{24}\.(json|txt)$")
_PACKED = {".gz", ".zst", ".bz2", ".xz"}
_IN_ONE_ENCODING = {".txt", ".text", ".log", ".rst", ".md", ".markdown", ".html", ".htm", ".xhtml", ".jsonl", ".ndjson", ".csv", ".tsv"}
"""Suffixes of formats whose bytes are text; the others say themselves how theirs is encoded."""


class PathFilter:
    """The patterns of a corpus, compiled once."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self._wanted, self._unwanted = _compile(config.include), _compile(config.exclude)

    def keeps(self, path: str) -> bool:
        """Whether a relative path is included and not excluded."""
        return self.keeps_all or (_matches(self._wanted, path) and not _matches(self._unwanted, path))

    @cached_property
    def keeps_all(self) -> bool:
        """The patterns leave nothing out."""
        return "**" in self.config.include and not self.config.exclude

    def refuse_nothing(self, n_listed: int) -> ConfigurationError:
        """The error for a corpus of which nothing is kept."""
        return ConfigurationError(
            f"no documents found under {self.config.uri}: {n_listed} files listed, none kept; include patterns "
            f"{list(self.config.include)}, exclude patterns {list(self.config.exclude)}; check corpus.uri and the patterns"
        )


def is_hidden(key: str) -> bool:
    """Hidden files and folders, our own temporary files (`.writing-*`), the lock files of Word (`~$*`), and what a store, wherever it
    was copied to, says of a forgotten document."""
    if _FORGOTTEN.search(key):
        return True
    return any(part.startswith((".", "~$")) and part not in (".", "..") for part in key.split("/"))  # steps up are refused, not left out


def stated_codec(path: str, config: CorpusConfig) -> str | None:
    """The codec that `corpus.encoding` states for a relative path; None where it states none, or the format needs none."""
    if not config.encoding or not _is_in_one_encoding(path):
        return None
    if isinstance(config.encoding, str):
        return codec_of(config.encoding)
    return next((codec_of(label) for glob, label in config.encoding.items() if _matches(_compiled(glob), path)), None)


def _is_in_one_encoding(path: str) -> bool:
    name = PurePosixPath(path.lower())
    return (name.with_suffix("").suffix if name.suffix in _PACKED else name.suffix) in _IN_ONE_ENCODING


@lru_cache(maxsize=64)
def _compiled(glob: str) -> list[re.Pattern[str]]:
    return _compile((glob,))


def _compile(globs: tuple[str, ...]) -> list[re.Pattern[str]]:
    from fsspec.utils import glob_translate

    try:
        return [re.compile(glob_translate(glob)) for glob in globs]
    except ValueError as error:
        raise ConfigurationError(f"invalid pattern in {list(globs)}: {error}; write patterns like 'docs/**/*.md'") from error


def _matches(patterns: list[re.Pattern[str]], path: str) -> bool:
    return any(pattern.match(path) for pattern in patterns)
