"""Names, places, words, numbers, and codes without end, made of seeded syllables: rare, and of several tokens each.

Rare multi-token strings are what summary vectors lose first, and nothing that is made up can be known beforehand.
"""

from __future__ import annotations

from random import Random

from lloco_core.encoder_training.text.reserved import is_reserved

_FAMILIES = (
    "b d f g h k l m n p r s t v br dr gr kr st tr|a e i o u|n r l s th",
    "k m n r s t h y sh ch ts|a e i o u ai ei ou|n",
    "v z d m l k p str zh br sv|a o e i y|v sk r n ch tz",
    "qu j z x th w bh kh dh ng mb|a i u aa ee oo|r l m x k",
    "c f l s t v gl fl pr ll|a e i o ia io ue|l r s",
    "w h b th sh cl wh bl r m d|a e o u ea oo ei|ck ll m nd rt ld w n",
)
"""Names that sound alike: how syllables begin, their vowels, how they may end."""
_SOUNDS = tuple(tuple(part.split() for part in family.split("|")) for family in _FAMILIES)
_PLACE_ENDS = ("", "", "", "", "ville", "burg", "ford", "haven", "grad", "pur", "ton", "stad", "abad", "mouth", "wick")
_PLACE_STARTS = ("", "", "", "", "", "", "Port ", "San ", "Mount ", "Upper ", "Saint ", "Fort ")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def word(rng: Random) -> str:
    """One made-up word in lower case."""
    while is_reserved(made := _syllables(rng)):
        pass
    return made


def name(rng: Random) -> str:
    """One made-up name."""
    return word(rng).capitalize()


def person(rng: Random) -> str:
    """Given name and family name."""
    return f"{name(rng)} {name(rng)}"


def place(rng: Random) -> str:
    """A town or region."""
    while is_reserved(made := rng.choice(_PLACE_STARTS) + name(rng) + rng.choice(_PLACE_ENDS)):
        pass
    return made


def number(rng: Random) -> str:
    """Three to seven digits."""
    digits = rng.randint(3, 7)
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


def year(rng: Random) -> str:
    """Four digits."""
    return str(rng.randint(1001, 2199))


def code(rng: Random) -> str:
    """Letters and digits, in one of several forms."""
    return filled(rng.choice(("AA-0000", "A0A0A", "000-AAA", "A-000-0", "AAA0000", "00A00A")), rng)


def filled(form: str, rng: Random) -> str:
    """A form with a letter for every A and a digit for every 0."""
    return "".join(rng.choice(_LETTERS) if sign == "A" else str(rng.randint(0, 9)) if sign == "0" else sign for sign in form)


def _syllables(rng: Random) -> str:
    begins, vowels, ends = rng.choice(_SOUNDS)
    syllables = [rng.choice(begins) + rng.choice(vowels) for _ in range(rng.choice((2, 2, 3, 3, 4)))]
    place = rng.randrange(2 * len(syllables))  # at most one syllable is closed
    if place < len(syllables):
        syllables[place] += rng.choice(ends)
    return "".join(syllables)
