"""Literal questions: made by rule from a sentence, answered by words of it. English text.

A rule looks at one sentence and returns its question and answer, or nothing; most sentences suit few rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from lloco_core.selfstudy.from_documents import BLANK, CLOZE

Asked = tuple[str, str]
"""Question and answer."""

_NAME = r"[A-Z][\w’'-]+(?: (?:of |de |von |van |the )?[A-Z][\w’'-]+){0,3}"
_PLAIN = r"[^.;:“”\"]"
_NO_NAMES = (
    "a about above after again all although an and another any as at because before both but by can do during each even every few "
    "first for from he her here his how however i if in indeed into it its just last later many may more most much my never next no "
    "none nor not nothing now of on once one only or other our out over perhaps she since so some soon still such than that the their "
    "then there these they this those though through thus to today together too two under until up upon was we were what when where "
    "which while who whose why with would yes yet you your"
)
NOT_NAMES = frozenset(_NO_NAMES.split())
"""What a sentence may begin with, written large there only."""
_SAID = "said|cried|asked|replied|answered|exclaimed|whispered|shouted|murmured|added|remarked|observed|declared|called"
_SAID_BY = re.compile(
    rf"^[“\"]?(?P<quote>[^“”\"]{{10,300}}?)[,.]?[”\"] (?:{_SAID}) (?P<who>{_NAME}|the (?:[a-z-]+ ){{0,2}}[a-z-]+)(?=[.,;:—!?]|$)"
    rf"|^(?P<who2>{_NAME}) (?:{_SAID})[,:]? [“\"](?P<quote2>[^“”\"]{{10,300}})"
)
_PAST = {
    "saw": "see", "took": "take", "gave": "give", "found": "find", "heard": "hear", "made": "make", "wrote": "write", "won": "win",
    "built": "build", "brought": "bring", "bought": "buy", "lost": "lose", "held": "hold", "left": "leave", "met": "meet", "drew": "draw",
    "sent": "send", "told": "tell", "knew": "know", "began": "begin", "became": "become", "received": "receive", "founded": "found",
    "used": "use", "published": "publish", "created": "create", "discovered": "discover", "produced": "produce", "reached": "reach",
}  # fmt: skip
_DID = re.compile(rf"^(?P<who>{_NAME}) (?P<did>(?:[a-z]+ed|{'|'.join(_PAST)}|went|came|stood|spoke|ran|sat) {_PLAIN}{{8,100}}?)[.;,]?$")
_WHAT_IS = re.compile(
    rf"^The (?P<of>[a-z][^,.;:“”\"]{{2,60}}?) (?P<verb>is|are|was|were) (?P<what>(?:an?|the|to|that|not|one|in) {_PLAIN}{{4,90}}?)[.;]?$"
)
_WHAT_DID = re.compile(rf"^(?P<who>{_NAME}) (?P<verb>{'|'.join(_PAST)}) (?P<what>[^.,;:“”\"]{{4,80}})(?=[.,;]|$)")
_BECAUSE = re.compile(rf"^(?P<clause>{_PLAIN}{{12,140}}?),? (?P<why>because {_PLAIN}{{6,100}}?)(?=[.;!?,]|$)")
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(
    rf",? ?\b(?:[Ii]n|[Oo]n|[Ss]ince|[Ii]n the year) "
    rf"(?P<when>(?:\d{{1,2}} )?(?:(?:{_MONTH}) (?:\d{{1,2}}, )?)?(?:1\d|20)\d\d|\d{{1,2}} (?:{_MONTH})|(?:{_MONTH}) \d{{1,2}})\b,?"
)
_IS_A = re.compile(
    rf"^(?P<who>{_NAME})(?: \([^)]*\))? (?P<verb>is|was|are|were) (?P<what>(?:an?|the|one of) [^.;:,(“”\"]{{4,90}}?)(?=[.,;(]|$)"
)
_QUOTES = frozenset('“”"[]')
_FILLER = re.compile(r"(?<![\w-])(?:\d[\d,.]*\d|[A-Z][a-z]{3,}|[a-z]{7,})(?![\w-])")


def ask(style: str, sentence: str, rng: Random) -> Asked | None:
    """Question and answer of one style about a sentence; None where the sentence does not suit it."""
    asked = _RULES[style](sentence, rng)
    if asked is None:
        return None
    question, answer = (" ".join(text.split()) for text in asked)
    return (question, answer) if answer and answer.lower() not in question.lower() else None


def _who_said(sentence: str, rng: Random) -> Asked | None:
    found = _SAID_BY.search(sentence) if "”" in sentence or '"' in sentence else None
    if not found:
        return None
    who, quote = (found["who"], found["quote"]) if found["who"] else (found["who2"], found["quote2"])
    return (f'Who said "{_first_words(quote, 12)}"?', who) if _may_be_name(who) or who.startswith("the ") else None


def _who_did(sentence: str, rng: Random) -> Asked | None:
    found = _DID.search(sentence)
    return (f"Who {_first_words(found['did'], 14)}?", found["who"]) if found and _may_be_name(found["who"]) else None


def _what(sentence: str, rng: Random) -> Asked | None:
    if (found := _WHAT_IS.search(sentence)) and len(found["what"].split()) <= 12:
        return f"What {found['verb']} the {found['of']}?", found["what"].rstrip(",")
    if (found := _WHAT_DID.search(sentence)) and _may_be_name(found["who"]):
        return f"What did {found['who']} {_PAST[found['verb']]}?", found["what"]
    return None


def _because(sentence: str, rng: Random) -> Asked | None:
    found = _BECAUSE.search(sentence) if " because " in sentence else None
    return (f"Why is it that {_as_clause(found['clause'])}?", found["why"]) if found else None


def _when(sentence: str, rng: Random) -> Asked | None:
    found = _DATE.search(sentence)
    if not found or len(sentence.split()) > 28 or not _QUOTES.isdisjoint(sentence):
        return None
    rest = (sentence[: found.start()] + " " + sentence[found.end() :]).strip().rstrip(" .!?;,")
    return (f"When was it that {_as_clause(rest)}?", found["when"]) if len(rest.split()) >= 4 else None


def _is_a(sentence: str, rng: Random) -> Asked | None:
    found = _IS_A.search(sentence)
    if not found or not _may_be_name(found["who"]) or len(found["what"].split()) > 14:
        return None
    return f"Who or what {found['verb']} {found['who']}?", found["what"]


def _fill_in(sentence: str, rng: Random) -> Asked | None:
    candidates = [match for match in _FILLER.finditer(sentence) if match.start() > 10]
    if not candidates:
        return None
    chosen = rng.choice(candidates)
    before, after = sentence[: chosen.start()].split(" ")[-12:], sentence[chosen.end() :].split(" ")[:9]
    return CLOZE.format(sentence=" ".join(before) + BLANK + " ".join(after)), chosen[0]


def _may_be_name(who: str) -> bool:
    return who.split()[0].lower() not in NOT_NAMES


def _as_clause(text: str) -> str:
    """A sentence within a sentence: a first word that is no name loses its capital."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return text[0].lower() + text[1:] if first.lower() in NOT_NAMES and first != "I" else text


def _first_words(text: str, count: int) -> str:
    return " ".join(text.split()[:count]).rstrip(",.;")


_RULES: dict[str, Callable[[str, Random], Asked | None]] = {
    "who_said": _who_said,
    "who_did": _who_did,
    "what": _what,
    "because": _because,
    "when": _when,
    "is_a": _is_a,
    "fill_in": _fill_in,
}
