from __future__ import annotations

import random

import numpy as np
import pytest

from lloco_core.encoder_training.text.config import LITERAL_STYLES
from lloco_core.encoder_training.text.literal import ask
from lloco_core.encoder_training.text.rowtext import RowText
from lloco_core.encoder_training.text.tokens import TextTokenizer

SUITABLE = [
    ("who_said", "“It is far too late to go,” said Kitty.", 'Who said "It is far too late to go"?', "Kitty"),
    ("who_said", 'Anna Petersen replied: "We leave in the morning, all."', 'Who said "We leave in the morning, all"?', "Anna Petersen"),
    ("who_said", "Leave it where it is!” cried the old ferryman.", 'Who said "Leave it where it is!"?', "the old ferryman"),
    ("who_did", "Tobias carried the lantern across the frozen field.", "Who carried the lantern across the frozen field?", "Tobias"),
    ("what", "The purpose of the club was to buy books.", "What was the purpose of the club?", "to buy books"),
    ("what", "Marlow saw the lights of the harbour, and wept.", "What did Marlow see?", "the lights of the harbour"),
    ("because", "The road was closed because the bridge had gone.", "Why is it that the road was closed?", "because the bridge had gone"),
    ("when", "In 1884, the council opened a second school.", "When was it that the council opened a second school?", "1884"),
    ("when", "Sofie married the captain on 3 May 1901.", "When was it that Sofie married the captain?", "3 May 1901"),
    ("is_a", "Harlan Vey (born 1801) was a painter of ships, and poor.", "Who or what was Harlan Vey?", "a painter of ships"),
    ("fill_in", "It was the lighthouse.", 'Which word fills the blank? "It was the ____."', "lighthouse"),
]  # fmt: skip

UNSUITABLE = [
    ("who_said", "“Never,” he said, and left."),
    ("who_did", "He carried the lantern across the frozen field."),
    ("what", "The old mill was burnt."),
    ("because", "Nobody came because."),
    ("when", "The council opened a second school."),
    ("is_a", "It was a dark evening."),
    ("fill_in", "So it was, and so be it."),
]


@pytest.mark.parametrize(("style", "sentence", "question", "answer"), SUITABLE)
def test_a_sentence_becomes_a_question(style: str, sentence: str, question: str, answer: str) -> None:
    assert ask(style, sentence, random.Random(0)) == (question, answer)


@pytest.mark.parametrize(("style", "sentence"), UNSUITABLE)
def test_a_sentence_that_does_not_suit_a_style_gives_none(style: str, sentence: str) -> None:
    assert ask(style, sentence, random.Random(0)) is None


def test_every_style_is_tried_here() -> None:
    assert {style for style, *_ in SUITABLE} == {style for style, _ in UNSUITABLE} == set(LITERAL_STYLES)


def test_sentences_of_a_row_are_whole_and_found_again_in_its_tokens(tokenizer: TextTokenizer) -> None:
    text = "ber 3. “Schön war’s — wirklich,” said Mr. Voß.\n\nThe wind\nfell at noon. It was A. Brandt who saw it. Und"
    ids_T = tokenizer.encode([text])[0].astype(np.int64)
    row = RowText(ids_T, tokenizer.pieces)
    assert row.text == text
    assert [item.text for item in row.sentences] == [
        "“Schön war’s — wirklich,” said Mr. Voß.", "The wind fell at noon.", "It was A. Brandt who saw it."
    ]  # fmt: skip
    for item in row.sentences:
        count = row.tokens_to(item.end)
        held = [b"".join(tokenizer.pieces[token] for token in ids_T[:n].tolist()) for n in (count, count - 1)]
        assert held[0].startswith(text[: item.end].encode())
        assert not held[1].startswith(text[: item.end].encode())
    assert (row.tokens_to(0), row.tokens_to(len(text))) == (0, len(ids_T))


def test_a_row_cut_within_a_character_still_knows_its_tokens(tokenizer: TextTokenizer) -> None:
    ids_T = tokenizer.encode(["한국어 Text. Another one came. And 한"])[0].astype(np.int64)
    row = RowText(ids_T[1:-1], tokenizer.pieces)
    assert "\udced" in row.text or any("\udc80" <= character <= "\udcff" for character in row.text)
    end = row.text.index("came.") + 5
    held = b"".join(tokenizer.pieces[token] for token in ids_T[1 : 1 + row.tokens_to(end)].tolist())
    assert held.endswith(b"came.")
