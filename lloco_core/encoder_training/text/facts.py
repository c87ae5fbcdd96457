"""Sentences that tell a made-up fact, each with a question that only who has read it can answer.

The wordings are kept apart from the evaluation's needle (`reserved`): no magic, and no "The ... city is ...".
"""

from __future__ import annotations

from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from lloco_core.encoder_training.text import names
from lloco_core.encoder_training.text.phrases import NO_PHRASES, Phrases

if TYPE_CHECKING:
    from lloco_core.encoder_training.text.familiar import KnownWords

_KINDS = (
    *("old", "northern", "hidden", "royal", "silent", "second", "forgotten", "golden", "eastern", "broken", "secret", "lost", "special"),
    *("wooden", "bright", "ancient", "winter", "favourite", "first", "lonely", "distant", "iron", "narrow", "sacred", "strange", "final"),
    *("painted", "lucky", "western", "crystal", "noble", "quiet", "marble", "foreign", "summer", "hollow", "proud", "silver", "missing"),
)
_THINGS = (
    *("harbour", "library", "mill", "bridge", "garden", "tower", "vault", "ship", "school", "station", "archive", "market", "chapel"),
    *("observatory", "laboratory", "orchard", "lighthouse", "theatre", "mine", "workshop", "bakery", "fountain", "gate", "museum"),
)
_PLACES = ("town", "village", "island", "valley", "meeting place", "province", "hiding place", "destination", "landing place")
_ROLES = ("doctor", "captain", "witness", "painter", "guest", "messenger", "judge", "engineer", "gardener", "pilot", "teacher")
_GOODS = ("coins", "books", "steps", "birds", "lamps", "letters", "stones", "barrels", "sheep", "bottles", "nails")
_ITS_OWN = 0.4
"""Share of the words of a fact that are taken from the phrases of the text it is put into."""
_ANY_WORD = 0.75
"""Share of the others that are any word instead of a listed one, sense or not: who has seen few words in a place, or few pairs of them,
takes a new one for another kind of question."""

_WORDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "fact_code": (
        ("The access code of {thing} is {value}.", "What is the access code of {thing}?"),
        ("{person} opened the safe with the code {value}.", "With which code did {person} open the safe?"),
        ("The file on {person} carries the mark {value} since then.", "Which mark does the file on {person} carry?"),
        ("The {kind} code is {value}.", "What is the {kind} code?"),
        ("The {kind} {place} has the code {value}.", "Which code does the {kind} {place} have?"),
    ),
    "fact_number": (
        ("The secret number of {thing} is {value}.", "What is the secret number of {thing}?"),
        ("{person} counted exactly {value} {goods}.", "How many {goods} did {person} count?"),
        ("There were {value} {goods} in {thing}.", "How many {goods} were in {thing}?"),
        ("The {kind} number is {value}.", "What is the {kind} number?"),
        ("The {kind} {place} has {value} {goods}.", "How many {goods} does the {kind} {place} have?"),
    ),
    "fact_place": (
        ("{person} lives in {value}.", "Where does {person} live?"),
        ("In {value} stands {thing}.", "Where does {thing} stand?"),
        ("{person} has travelled to {value} by train.", "Where has {person} travelled to?"),
        ("The {kind} {place} is {value}.", "What is the {kind} {place}?"),
        ("{value} is the {kind} {place}.", "What is the {kind} {place}?"),
    ),
    "fact_person": (
        ("The keeper of {thing} is {value}.", "Who is the keeper of {thing}?"),
        ("It was {value} who built {thing}.", "Who built {thing}?"),
        ("{value} wrote the letter to {person}.", "Who wrote the letter to {person}?"),
        ("The {kind} {role} is called {value}.", "What is the {kind} {role} called?"),
        ("The {kind} {role} is {value}.", "Who is the {kind} {role}?"),
    ),
    "fact_year": (
        ("{thing} was founded in {value}.", "In which year was {thing} founded?"),
        ("{person} was born in {value}.", "In which year was {person} born?"),
        ("In {value} a storm destroyed {thing}.", "In which year did a storm destroy {thing}?"),
    ),
    "fact_word": (
        ("The password of {thing} is {value}.", "What is the password of {thing}?"),
        ("{person} named the horse {value}.", "What did {person} name the horse?"),
        ("The {kind} word is {value}.", "What is the {kind} word?"),
        ("The {kind} {role} says {value}.", "What does the {kind} {role} say?"),
    ),
}


class Fact(NamedTuple):
    """A sentence to put into a text, and what to ask about it."""

    style: str
    sentence: str
    """Holds the answer word for word."""
    question: str
    answer: str


def make_fact(style: str, rng: Random, values: KnownWords | ModuleType = names, phrases: Phrases = NO_PHRASES) -> Fact:
    """A fact of one of the `fact_` styles, its names, words, and numbers from `names` or known words: what follows `fact_` draws one.

    Args:
        phrases: of the text that the fact is put into.
    """
    sentence, question = rng.choice(_WORDINGS[style])
    value = getattr(values, style.removeprefix("fact_"))(rng)
    slots = {
        "thing": _thing(rng, values, phrases),
        "person": values.person(rng),
        "kind": _word(_KINDS, phrases.kinds, rng, values),
        "place": _word(_PLACES, phrases.things, rng, values),
        "role": _word(_ROLES, phrases.things, rng, values),
        "goods": _word(_GOODS, phrases.things, rng, values),
        "value": value,
    }
    told = sentence.format_map(slots)
    return Fact(style, told[0].upper() + told[1:], question.format_map(slots), value)


def _thing(rng: Random, values: KnownWords | ModuleType, phrases: Phrases) -> str:
    thing = _word(_THINGS, phrases.things, rng, values)
    return rng.choice(
        (
            f"the {_word(_KINDS, phrases.kinds, rng, values)} {thing}",
            f"the {thing} of {values.place(rng)}",
            f"{values.person(rng)}'s {thing}",
        )
    )


def _word(listed: tuple[str, ...], its_own: tuple[str, ...], rng: Random, values: KnownWords | ModuleType) -> str:
    if its_own and rng.random() < _ITS_OWN:
        return rng.choice(its_own)
    return values.word(rng) if rng.random() < _ANY_WORD else rng.choice(listed)
