"""The languages of a corpus: their codes, and what the full-text index knows about them."""

from __future__ import annotations

MULTILINGUAL = "multi"
"""Several languages, or an unknown one."""

STEMMERS = {
    "ar": "Arabic",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hu": "Hungarian",
    "it": "Italian",
    "nb": "Norwegian",
    "nl": "Dutch",
    "nn": "Norwegian",
    "no": "Norwegian",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "tr": "Turkish",
}
"""Code -> the language as Lance names it: it has a stemmer and a list of stop words."""

_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu "
    "fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn "
    "ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os "
    "pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw "
    "ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
_ISO_639_1 = frozenset(_CODES.split())


def language_code(value: object) -> object:
    """Turn `de`, `DE`, `de-AT`, or `multi` into the code that is kept; anything but text is left to the type check.

    Raises:
        ValueError: no ISO 639-1 code.
    """
    if not isinstance(value, str):
        return value
    code = value.strip().lower().replace("_", "-").split("-")[0]
    if code != MULTILINGUAL and code not in _ISO_639_1:
        raise ValueError(
            f"{value!r} is no language: expected an ISO 639-1 code such as en, de, ja, zh (not that of a country), or {MULTILINGUAL}"
        )
    return code
