"""What the paths of a listing say: whether they belong to the corpus by its patterns and by what is never a document (`litter.py`), and
which encoding is stated for them."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

from lloco_core.config import CorpusConfig
from lloco_core.corpus.charsets.labels import codec_of
from lloco_core.corpus.litter import is_hidden, is_litter
from lloco_core.corpus.unpacking import CODECS
from lloco_core.errors import ConfigurationError

IN_ONE_ENCODING = {".txt", ".text", ".log", ".rst", ".md", ".markdown", ".html", ".htm", ".xhtml", ".csv", ".tsv", ".tab"}
IN_ONE_ENCODING |= {".jsonl", ".ndjson", ".json", ".geojson"}
"""Suffixes of formats whose bytes are text; the others say themselves how theirs is encoded."""
_WITH_TEXT = {".doc", ".dot", ".xls"}
"""Suffixes under which programs also write pages and tables of text."""


class PathFilter:
    """The patterns of a corpus, compiled once, and the count of what a listing ignored."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self.n_ignored = 0
        self._wanted, self._unwanted = _compile(config.include), _compile(config.exclude)

    def keeps(self, path: str) -> bool:
        """Whether a relative path is included and not excluded."""
        return self.keeps_all or (_matches(self._wanted, path) and not _matches(self._unwanted, path))

    def ignores(self, path: str, *, named: bool = False) -> bool:
        """Whether a relative path is never a document; counted in `n_ignored`. A path that a manifest has `named` may be hidden."""
        ignored = is_litter(path) or (not named and is_hidden(path))
        self.n_ignored += ignored
        return ignored

    @cached_property
    def keeps_all(self) -> bool:
        """The patterns leave nothing out."""
        return "**" in self.config.include and not self.config.exclude

    def refuse_nothing(self, n_listed: int) -> ConfigurationError:
        """The error for a corpus of which nothing is kept."""
        ignored = f", {self.n_ignored} ignored as hidden, markers, or litter" if self.n_ignored else ""
        return ConfigurationError(
            f"no documents found under {self.config.uri}: {n_listed} files listed, none kept{ignored}; include patterns "
            f"{list(self.config.include)}, exclude patterns {list(self.config.exclude)}; check corpus.uri and the patterns"
        )


def stated_codec(path: str, config: CorpusConfig) -> str | None:
    """The codec that `corpus.encoding` states for a relative path; None where it states none, or the format needs none."""
    if not config.encoding or not _may_be_in_one_encoding(path):
        return None
    if isinstance(config.encoding, str):
        return codec_of(config.encoding)
    return next((codec_of(label) for glob, label in config.encoding.items() if _matches(_compiled(glob), path)), None)


def _may_be_in_one_encoding(path: str) -> bool:
    name = PurePosixPath(path.lower())
    suffix = name.with_suffix("").suffix if name.suffix in CODECS else name.suffix
    return suffix in IN_ONE_ENCODING or suffix in _WITH_TEXT


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
