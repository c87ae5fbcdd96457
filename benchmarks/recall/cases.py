"""A file with known text, and the sentences that the files are made of."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A word, or a single character of Chinese, Japanese, and Korean."""

ENGLISH = (
    "The harbour master opened the northern gate before sunrise.",
    "Seventeen barges carried gravel towards the unfinished bridge.",
    "A retired geologist measured how quickly the cliff was eroding.",
    "Nobody had repaired the lighthouse since the previous winter.",
    "Fresh bread and smoked herring were sold beside the ferry.",
    "The council postponed its decision about parking fees again.",
    "Heavy rain flooded two cellars in the old merchant quarter.",
    "Her grandfather invented a quieter engine for fishing boats.",
    "Every Thursday the library lends telescopes to young visitors.",
    "An orchestra rehearsed inside the abandoned railway station.",
)
LANGUAGES = {
    "cs": "Příliš žluťoučký kůň úpěl ďábelské ódy, řekl správce přístavu. Zítra začne oprava starého mostu přes řeku, ulice bude uzavřena.",
    "pl": "Zażółć gęślą jaźń, powiedział strażnik śluzy. Jutro rozpocznie się remont mostu i ulica będzie zamknięta dla wszystkich.",
    "de": "Der Hafenmeister öffnete früh die Schleuse. Über den Fluss führt eine neue Brücke, größer und schöner als die alte.",
    "fr": "Le maître du port a ouvert l'écluse à l'aube. La forêt était déjà pleine d'élèves venus étudier les fougères.",
    "ru": "Начальник порта открыл шлюз до рассвета. Завтра начнётся ремонт старого моста, и улица будет закрыта для движения.",
    "el": "Ο λιμενάρχης άνοιξε την πύλη πριν την ανατολή. Αύριο αρχίζει η επισκευή της παλιάς γέφυρας πάνω από το ποτάμι.",
    "ja": "港の管理者は夜明け前に水門を開けた。明日から古い橋の修理が始まり、道路は閉鎖される。",
    "zh": "港口主管在日出前打开了水闸。明天开始修理旧桥，道路将对所有人关闭。",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A file, the text that a person who opens it can read, and words that a reader may add without being wrong (labels, link targets)."""

    name: str
    data: bytes
    text: str
    may_add: str = ""

    @property
    def format(self) -> str:
        """The suffix of the file, without that of its compression."""
        return self.name.removesuffix(".gz").rpartition(".")[2]


def words(text: str) -> Counter[str]:
    """Words of a text, whatever their case, their accents' encoding, and the punctuation around them."""
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text).replace("\u00ad", "").casefold()))


def sentences(first: int, last: int) -> list[str]:
    """English sentences by number."""
    return [ENGLISH[number % len(ENGLISH)] for number in range(first, last)]
