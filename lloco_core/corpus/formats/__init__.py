"""The file formats documents come in: one reader per family, one entry point.

A reader is a pure function from bytes to `ReadText`; it raises `Rejected` for bad input and imports its parser library at
first use, so that listing a corpus loads none of them.
"""

from lloco_core.corpus.formats.parse import parse_object

__all__ = ["parse_object"]
