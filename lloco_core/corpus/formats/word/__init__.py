"""Word documents (.docx, .docm, .dotx, .dotm) to the text that Word shows. `docs/formats.md` says what is text and what is not."""

from lloco_core.corpus.formats.word.reading import read_docx

__all__ = ["read_docx"]
