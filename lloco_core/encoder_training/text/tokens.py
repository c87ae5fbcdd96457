"""Many texts to token ids at once, and token ids back to the bytes they stand for.

The ids are those of `lloco_core.compressor.tokenizing.tokenize`: no special tokens added, none recognised in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.compressor.tokenizing import wording_pieces
from lloco_core.errors import ConfigurationError
from lloco_core.fingerprint import digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class TextTokenizer:
    """A fast tokenizer of one's own: nothing that others do with theirs changes it, and threads may share it."""

    def __init__(self, definition: str, end_id: int) -> None:
        from tokenizers import Tokenizer

        self.definition = definition
        """tokenizer.json as text."""
        self.end_id = end_id
        """Stands behind every document of packed rows and every answer."""
        self._backend = Tokenizer.from_str(definition)
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True  # a text that spells </s> stays text

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> TextTokenizer:
        """The tokenizer of a checkpoint."""
        if tokenizer.eos_token_id is None:
            raise ConfigurationError(f"tokenizer {tokenizer.name_or_path!r} has no EOS token; set eos_token in tokenizer_config.json")
        return cls(tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id)

    def __reduce__(self) -> tuple[type[TextTokenizer], tuple[str, int]]:
        return TextTokenizer, (self.definition, self.end_id)

    @cached_property
    def fingerprint(self) -> str:
        """Names the definition."""
        return digest([json.loads(self.definition), self.end_id])

    @cached_property
    def size(self) -> int:
        """One more than the largest id."""
        return max(self._backend.get_vocab(with_added_tokens=True).values()) + 1

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids [T] int32 of every text."""
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray(encoding.ids, dtype=np.int32) for encoding in found]

    def encode_wording(self, template: str, slot: str, values: Sequence[str]) -> list[np.ndarray]:
        """Ids [T] int32 of a template with every value in its slot; see `compressor.tokenizing.wording_ids`."""
        special = {token.content: index for index, token in self._backend.get_added_tokens_decoder().items() if token.special}
        parts: list[list[np.ndarray]] = []
        for piece in wording_pieces(template, special):
            if piece in special:
                parts.append([np.asarray([special[piece]], dtype=np.int32)] * len(values))
            else:
                parts.append(self.encode([piece.replace(slot, value) for value in values]))
        return [np.concatenate(found) for found in zip(*parts, strict=True)]

    @cached_property
    def pieces(self) -> list[bytes]:
        """Bytes of every id: joined they are the text. The end token counts as an empty line, other special tokens as nothing.

        Raises:
            ConfigurationError: the tokenizer is neither a byte-level nor a SentencePiece BPE.
        """
        decoder = json.dumps(json.loads(self.definition)["decoder"], ensure_ascii=False)
        as_bytes = _byte_level if '"ByteLevel"' in decoder else _sentence_piece
        if as_bytes is _sentence_piece and "\u2581" not in decoder:
            raise ConfigurationError("questions by rule need a byte-level or SentencePiece BPE tokenizer; set rows.with_answers to 0")
        pieces = [b""] * self.size
        for token, index in self._backend.get_vocab(with_added_tokens=False).items():
            pieces[index] = as_bytes(token)
        for index, token in self._backend.get_added_tokens_decoder().items():
            pieces[index] = b"" if token.special else token.content.encode()
        pieces[self.end_id] = b"\n\n"
        return pieces


def _byte_level(token: str) -> bytes:
    return bytes(_BYTE_OF[character] for character in token if character in _BYTE_OF)


def _sentence_piece(token: str) -> bytes:
    if byte := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(byte[1], 16)])
    return token.replace("\u2581", " ").encode()


def _bytes_by_character() -> dict[str, int]:
    """Byte-level BPE writes printable bytes as themselves and the others, in order, as the characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _bytes_by_character()
