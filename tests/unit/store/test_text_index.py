"""Full-text search in languages with and without spaces: what an index finds, and that it stays of its language."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lloco_core.config import CorpusConfig
from lloco_core.errors import ConfigurationError
from lloco_core.options import parse_options
from lloco_core.retrieval.search import search_passages
from lloco_core.store.forgetting.erase import rebuild_indices
from lloco_core.store.index import build_indices
from lloco_core.store.maintenance.compact import compact_table
from lloco_core.store.nights import publish_night
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from lloco_core.store.text_index import stored_options, text_options
from tests.unit.store.fixtures import DIMENSION, document, ingest, lease, maintaining, new_store, shard

LONG = "Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung"
SENTENCES = {
    "zh": ("市图书馆在台风期间闭馆，读者可以通过邮寄归还借阅的图书。", "图书馆 台风 读者 邮寄 归还 借阅"),
    "zh-Hant": ("捷運站因訊號故障暫停營運，乘客改搭公車前往機場。", "捷運 故障 營運 乘客 機場"),
    "ja": ("新しいエレベーターの保守契約を三年間延長しました。", "エレベーター 保守 契約 延長"),
    "ja-2": ("大雨のため、新幹線は運転を見合わせています。", "大雨 新幹線 運転"),
    "th": ("ผู้ป่วยควรรับประทานยาวันละสองเม็ดหลังอาหาร", "ผู้ป่วย อาหาร รับประทาน"),
    "lo": ("ໂຮງຮຽນປິດໃນວັນພັກລັດຖະການ", "ໂຮງຮຽນ ລັດຖະການ"),
    "km": ("សាលារៀនបិទនៅថ្ងៃឈប់សម្រាក", "សាលារៀន បិទ"),
    "my": ("လူနာသည်အစာစားပြီးနောက်ဆေးသောက်သင့်သည်", "လူနာ ဆေး"),
    "hi": ("मरीज़ को भोजन के बाद दवा लेनी चाहिए", "मरीज़ भोजन दवा"),
    "ar": ("يجب على المستأجر دفع الإيجار", "المستأجر الإيجار"),
    "ru": ("Насос проверяют каждую неделю", "насос неделю"),
    "de": (
        "Die Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung gilt",
        "Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung",
    ),
    "fr": ("L'école n'ouvre qu'à neuf heures", "école neuf"),
    "en": ("the crane is checked every day", "crane checks"),
}
MORE = {
    "zh-more": ("乘客改搭公車前往體育館", "乘客 體育館"),
    "ko": ("시청은 구시가지에 새로운 박물관을 짓기로 결정했다", "시청 박물관 구시가지 결정"),
}
"""What ICU alone does not find."""
ODD = [
    ("write to first.last+tag@example.org", "first.last+tag@example.org"),
    ("pump XR-200/7 at 3.14 bar", "XR-200/7"),
    ("the value is 1,234.56", "1,234.56"),
    ("Compiled with C++ or C#", "C++"),
    ("Signed by Siobhán O’Brien", "O'Brien"),
    ("config.yaml names it", "config"),
    ("ﬁlter Ⅳ", "filter"),
    ("the filter ﾌｨﾙﾀｰ of old terminals", "ﾌｨﾙﾀｰ"),
    ("a naïve approach", "naive"),
    ("كتاب جديد", "كِتَاب"),
    ("שלום לכולם", "שָׁלוֹם"),
    ("snake_case and self-driving", "self-driving"),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(str(tmp_path / "store"))


def found_by_lance(store: Store, word: str) -> list[str]:
    return store.dataset("passages").to_table(columns=["text", "_score"], full_text_query=word)["text"].to_pylist()


def found_by_words(store: Store, question: str) -> list[str]:
    """What a search finds by words: the vector says nothing, and there are more passages than are asked for."""
    night = open_night(store.root)
    return [hit.text for hit in search_passages(night, question, np.zeros(DIMENSION, np.float32), 3)]


def put(store: Store, texts: list[str], plan: str = "p1") -> None:
    ingest(store, shard(plan, 0, [document(f"{plan}-{number}.txt", text) for number, text in enumerate(texts)]))


def one_word(text: str) -> str:
    """Of a text in one passage: the fixtures cut passages at every fourth space."""
    return text.replace(" ", "\u2009")


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "appended"])
def test_words_inside_clauses_are_found(store: Store, indexed: bool):
    texts = [one_word(text) for text, _ in SENTENCES.values()]
    put(store, ["something else", *texts] if indexed else ["something else"])
    build_indices(store)
    if not indexed:
        put(store, texts, "p2")
    missed = [
        (code, word)
        for (code, (_, words)), text in zip(SENTENCES.items(), texts, strict=True)
        for word in words.split()
        if text not in found_by_lance(store, word)
    ]
    assert missed == []


def test_questions_find_them_in_a_mixed_store(store: Store):
    known = SENTENCES | MORE
    texts = {code: one_word(text) for code, (text, _) in known.items()}
    put(store, [*texts.values(), *(f"filler number {number}" for number in range(20))])
    build_indices(store)
    publish_night(store, "run-1")
    missed = [
        (code, word) for code, (_, words) in known.items() for word in words.split() if texts[code] not in found_by_words(store, word)
    ]
    assert missed == []


def test_a_word_is_cut_in_questions_as_in_passages(store: Store):
    put(store, [*(one_word(text) for text, _ in ODD), *(f"filler-{number}" for number in range(20))])
    build_indices(store)
    publish_night(store, "run-1")
    asked = [(text, form.format(word)) for text, word in ODD for form in ("{}", "What do you know about {}?")]
    assert [question for text, question in asked if one_word(text) not in found_by_words(store, question)] == []


def test_questions_without_words_are_answered_by_vectors_alone(store: Store):
    put(store, ["one text", "another one"])
    build_indices(store)
    publish_night(store, "run-1")
    for question in ("?", "…", "🙂", "\u200d", "AND", "is the", "\x00"):
        assert len(found_by_words(store, question)) == 2, question


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("ko", "임대차계약서에는 월세와 보증금을 명시해야 하고 약을 먹는다", "계약서 월세 보증금 명시 약"),
        ("zh", "乘客改搭公車前往體育館，市政府發展中國家", "公車 體育館 政府 國家 車"),
        ("ja", "東京都庁の賃貸借契約書に敷金を明記する XR-200", "都庁 京都 契約 書 敷金 XR-200"),
    ],
)
def test_every_part_of_a_word_is_found_where_the_language_is_named(store: Store, language: str, text: str, words: str):
    put(store, [one_word(text), *(f"filler number {number}" for number in range(9))])
    build_indices(store, language)
    publish_night(store, "run-1")
    for word in words.split():
        assert found_by_lance(store, word)[0] == one_word(text)
        assert one_word(text) in found_by_words(store, word)


@pytest.mark.parametrize(
    ("language", "word", "inflected"),
    [
        ("de", "Wohnungen", "Wohnung"),
        ("de", "Straße", "STRASSEN"),
        ("fr", "continuellement", "continuel"),
        ("ru", "насосами", "насоса"),
        ("es", "canciones", "canción"),
        ("en", "generations", "generation"),
    ],
)
def test_stemming_follows_the_language(store: Store, language: str, word: str, inflected: str):
    put(store, [word])
    build_indices(store, language)
    assert found_by_lance(store, inflected) == [word]
    build_indices(store, "pl")  # has no stemmer
    assert found_by_lance(store, inflected) == []
    assert found_by_lance(store, word) == [word]


def test_another_language_builds_the_index_anew_and_none_keeps_it(store: Store):
    put(store, ["text"])
    build_indices(store)
    assert text_options("multi").items() <= (stored_options(store.dataset("passages")) or {}).items()
    for language in ("ko", "de", "th", "multi"):
        build_indices(store, language)
        version = store.dataset("passages").version
        for again in (language, None):
            build_indices(store, again)
        stored = stored_options(store.dataset("passages"))
        assert text_options(language).items() <= (stored or {}).items()
        assert store.dataset("passages").version == version
    assert len(store.dataset("passages").describe_indices()) == 3


def test_an_index_of_an_earlier_release_stays_until_a_language_is_named(store: Store):
    put(store, ["图书馆周一闭馆"])
    store.dataset("passages").create_scalar_index("text", "INVERTED")
    build_indices(store)
    assert found_by_lance(store, "闭馆") == []
    build_indices(store, "multi")
    assert found_by_lance(store, "闭馆") == ["图书馆周一闭馆"]


def test_forgetting_and_compaction_keep_the_language(store: Store):
    for number in range(3):
        put(store, ["박물관을 짓는다", f"text {number}"], f"p{number}")
        build_indices(store, "ko")
    with maintaining(store) as maintenance:
        compact_table(maintenance, "passages")
    build_indices(store)
    with lease(store) as held:
        rebuild_indices(store, held)
    stored = stored_options(store.dataset("passages"))
    assert text_options("ko").items() <= (stored or {}).items()
    assert len(found_by_lance(store, "물관")) == 3


@pytest.mark.parametrize(
    ("given", "kept"), [("de", "de"), ("DE", "de"), ("pt-BR", "pt"), ("zh_Hant", "zh"), (" multi ", "multi"), ("cs", "cs")]
)
def test_languages_are_codes(given: str, kept: str):
    assert CorpusConfig(uri="x", language=given).language == kept
    assert parse_options(["--corpus.uri", "x", "--store.uri", "y", "--corpus.language", given]).corpus.language == kept


@pytest.mark.parametrize("given", ["german", "jp", "xx", "", "C"])
def test_what_is_no_language_is_refused(given: str):
    with pytest.raises(ConfigurationError, match=r"corpus\.language.*ISO 639-1.*multi"):
        parse_options(["--corpus.uri", "x", "--store.uri", "y", f"--corpus.language={given}"])
