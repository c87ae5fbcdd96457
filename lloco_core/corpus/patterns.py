"""Which paths of a listing belong to the corpus: its include and exclude patterns, and what is never a document (`litter.py`)."""

from __future__ import annotations

import re
from functools import cached_property

from lloco_core.config import CorpusConfig
from lloco_core.corpus.litter import is_hidden, is_litter
from lloco_core.errors import ConfigurationError


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


def _compile(globs: tuple[str, ...]) -> list[re.Pattern[str]]:
    from fsspec.utils import glob_translate

    try:
        return [re.compile(glob_translate(glob)) for glob in globs]
    except ValueError as error:
        raise ConfigurationError(f"invalid pattern in {list(globs)}: {error}; write patterns like 'docs/**/*.md'") from error


def _matches(patterns: list[re.Pattern[str]], path: str) -> bool:
    return any(pattern.match(path) for pattern in patterns)
