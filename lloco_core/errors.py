"""The errors a user of the pipeline can meet. Each message says what, the value, and the next step."""

from __future__ import annotations


class LlocoError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigurationError(LlocoError):
    """A setting is missing, unknown, or impossible."""


class StorageError(LlocoError):
    """A folder, bucket, or object cannot be reached, read, or written."""


class ClusterError(LlocoError):
    """Ray cannot be started on this machine."""


class ParserStartError(LlocoError):
    """A worker cannot start the process that parses documents."""


class CheckpointError(LlocoError):
    """Model files are missing, of the wrong layout, or do not fit their configuration."""


class TrainingTextError(LlocoError):
    """Training text is too damaged, too short, or not the text that a training run began with."""


class EncodingError(LlocoError):
    """A document cannot be encoded with the given encoder and lengths."""


class DatasetError(LlocoError):
    """Files of questions for an evaluation are missing, incomplete, or of another layout."""


class QuestionError(LlocoError):
    """A question is empty, longer than allowed, or not Unicode."""


class CommitError(LlocoError):
    """The store cannot accept a commit: another committer, another encoder, or a broken record."""


class LeaseLost(CommitError):
    """Another process has taken over the commit lease; this one must not write any more."""


class PlanRefused(LlocoError):
    """More stored documents are gone from the corpus than the run allows; nothing was changed."""


class QuarantineExceeded(LlocoError):
    """More documents were quarantined than the run allows; everything readable is committed."""


class RegistryError(LlocoError):
    """An adapter is not fit to be registered, or does not exist."""


def in_one_line(error: BaseException) -> str:
    """An error's kind and message on one line, for a report that goes on. Of an error on a Ray worker, the one that was raised there."""
    cause = getattr(error, "cause", None)
    found = cause if isinstance(cause, BaseException) else error
    return f"{type(found).__name__}: {' '.join(str(found).split())[:300]}"
