from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import texts
from pydantic import ValidationError

import lloco_core
from lloco_core.compressor.tokenizing import load_tokenizer
from lloco_core.config import AnswerConfig
from lloco_core.encoder_training.text import facts, familiar, names
from lloco_core.encoder_training.text.config import FACT_STYLES, LITERAL_STYLES, STYLES, CurriculumConfig
from lloco_core.encoder_training.text.curriculum import AskedRow, Curriculum
from lloco_core.encoder_training.text.familiar import KnownWords
from lloco_core.encoder_training.text.literal import NOT_NAMES
from lloco_core.encoder_training.text.phrases import Phrases
from lloco_core.encoder_training.text.placing import TokenKinds, place_facts
from lloco_core.encoder_training.text.reserved import RESERVED_CITIES, is_reserved
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.evaluation import cities
from lloco_core.finetune.rows import answer_ids, prompt_ids

T = 512


@pytest.fixture(scope="module")
def rows(tokenizer: TextTokenizer) -> list[np.ndarray]:
    """Rows cut anywhere in long stories, within characters too."""
    ids = [tokenizer.encode([texts.story(f"long {n}", 200)])[0].astype(np.int64) for n in range(4)]
    return [document[start : start + T] for document in ids for start in range(0, len(document) - T, T + 7)]


def config(**changes: object) -> CurriculumConfig:
    return CurriculumConfig.model_validate({"tokens_per_answer": 64, "segment_tokens": (96, 128)} | changes)


def asked(rows: list[np.ndarray], curriculum: Curriculum) -> list[AskedRow]:
    return [curriculum.ask(row_T, random.Random(number)) for number, row_T in enumerate(rows)]


def text_of(ids_T: np.ndarray, tokenizer: TextTokenizer) -> str:
    data = b"".join(tokenizer.pieces[token] for token in ids_T.tolist())
    return " ".join(data.decode("utf-8", "replace").split())


def test_every_answer_was_told_before_it_is_asked(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    styles: Counter[str] = Counter()
    for row in asked(rows, Curriculum(config(), tokenizer)):
        assert (row.row_T.shape, row.row_T.dtype) == ((T,), np.int64)
        assert [task.after for task in row.tasks] == sorted(task.after for task in row.tasks)
        assert len({task.question for task in row.tasks}) == len(row.tasks)
        for task in row.tasks:
            assert 0 < task.told <= task.after <= T
            assert task.answer in text_of(row.row_T[: task.told], tokenizer)
            styles[task.style] += 1
    assert set(styles) == set(STYLES)


def test_the_same_seed_asks_the_same(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    curriculum = Curriculum(config(), tokenizer)
    first, again = curriculum.ask(rows[0], random.Random("a")), Curriculum(config(), tokenizer).ask(rows[0], random.Random("a"))
    assert (first.row_T == again.row_T).all()
    assert first.tasks == again.tasks
    assert curriculum.ask(rows[0], random.Random("b")).tasks != first.tasks


@pytest.mark.parametrize("edges", [0, 0.5, 1])
def test_nothing_but_the_facts_changes_a_row(edges: float, rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    """The facts are where they are said to be, and without them the beginning of the row is left."""
    kinds, n_placed = TokenKinds(tokenizer.pieces), 0
    for number, row_T in enumerate(rows):
        rng = random.Random(number)
        made = [facts.make_fact(rng.choice(FACT_STYLES), rng) for _ in range(6)]
        new_T, placed = place_facts(row_T, made, tokenizer, kinds, config(edges=edges), rng)
        left, at = [], 0
        for fact, start, end in placed:
            assert text_of(new_T[start:end], tokenizer) == fact.sentence
            left += new_T[at:start].tolist()
            at = end
        left += new_T[at:].tolist()
        assert len(new_T) == T
        assert left == row_T[: len(left)].tolist()
        n_placed += len(placed)
    assert n_placed > (2 if edges == 1 else 4) * len(rows)


def test_facts_go_behind_whole_sentences_only(tokenizer: TextTokenizer) -> None:
    text = "It cost 3.50 marks. “He is gone.” Mr. Voß wept. A. Brandt left! So did J.R. and the\nothers.\nEnd."
    ids_T = tokenizer.encode([text])[0].astype(np.int64)
    before = [text_of(ids_T[:place], tokenizer) for place in TokenKinds(tokenizer.pieces).breaks(ids_T)]
    assert [item[-12:] for item in before] == [" 3.50 marks.", "r. Voß wept.", "Brandt left!", " the others."]


def test_text_around_a_fact_is_tokenised_as_a_whole(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    """A fact behind a sentence gives the tokens that the finished text would give, so training equals serving."""
    for row in asked(rows, Curriculum(config(edges=0), tokenizer)):
        begins = int(np.flatnonzero([tokenizer.pieces[token][:1] == b" " for token in row.row_T])[0])
        whole = row.row_T[begins:-8]
        again = tokenizer.encode([b"".join(tokenizer.pieces[token] for token in whole).decode("utf-8", "ignore")])[0]
        assert again[: len(whole) - 8].tolist() == whole[:-8].tolist()


def test_facts_are_first_and_last_tokens_of_rows_and_segments(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    curriculum = Curriculum(config(edges=1, literal=0, recall=0, older=0), tokenizer)
    starts, ends = set(), set()
    for repeat in range(10):
        for number, row_T in enumerate(rows):
            row = curriculum.ask(row_T, random.Random(f"{repeat} {number}"))
            for task in row.tasks:
                ends.add(task.after)
            for border in (0, 96, 128, 192, 256, 288, 384, 480):
                opening = text_of(row.row_T[border : border + 40], tokenizer)
                starts |= {border for task in row.tasks if border < task.after <= border + 40 and _opens_with(opening, task.answer)}
    assert {0, 96, 128, 192, 256, 288, 384} <= starts
    assert {96, 128, 192, 256, 288, 384, 480, T} <= ends


def _opens_with(opening: str, answer: str) -> bool:
    """Whether a fact that holds the answer begins at the first character: its sentence is the first one."""
    return answer in opening.partition(". ")[0] and opening[0].isupper()


def test_styles_that_are_held_out_are_never_asked(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    held = ("who_said", "because", "fact_year", "fact_code")
    styles = {task.style for row in asked(rows, Curriculum(config(held_out_styles=held), tokenizer)) for task in row.tasks}
    assert styles == set(STYLES) - set(held)
    only = config().only(*held)
    assert {task.style for row in asked(rows, Curriculum(only, tokenizer)) for task in row.tasks} == set(held)
    assert (only.segment_tokens, only.recall) == ((96, 128), 0)


def test_the_mix_follows_its_weights(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    kinds: Counter[str] = Counter()
    for row in asked(rows * 5, Curriculum(config(facts=2, literal=1, recall=1, edges=0), tokenizer)):
        kinds.update(
            "facts" if task.style in FACT_STYLES else "literal" if task.style in LITERAL_STYLES else "recall" for task in row.tasks
        )
    assert kinds["facts"] / kinds.total() == pytest.approx(0.5, abs=0.06)
    assert kinds["literal"] / kinds.total() == pytest.approx(0.25, abs=0.06)


def test_questions_about_older_segments_come_after_later_text(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    tasks = [task for row in asked(rows, Curriculum(config(older=1), tokenizer)) for task in row.tasks]
    assert all(task.after >= task.told + 96 for task in tasks if task.told + 96 <= T)
    assert len({task.after - task.told for task in tasks}) > 20
    tasks = [task for row in asked(rows, Curriculum(config(older=0), tokenizer)) for task in row.tasks]
    assert all(task.after == task.told for task in tasks)


def test_the_needle_and_its_cities_are_never_told(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    rng, known = random.Random(0), KnownWords.of(tokenizer.pieces)
    for style in FACT_STYLES:
        for number in range(2500):
            fact = facts.make_fact(style, rng, known if number >= 1500 else names)
            assert not is_reserved(f"{fact.sentence} {fact.question} {fact.answer}")
            assert not re.search(r"magic|\bcity is\b", fact.sentence)
            assert fact.answer in fact.sentence
    city = tokenizer.encode(
        [" The magic city of Europe was Vienna. Tobias saw the magic city. Tobias saw Nairobi. Vienna was a large town." * 12]
    )[0]
    curriculum = Curriculum(config(facts=0, older=0), tokenizer)
    for number in range(40):
        for task in curriculum.ask(city.astype(np.int64), random.Random(number)).tasks:
            assert not is_reserved(task.answer), task
            assert "magic city" not in task.question.lower()


def test_what_a_fact_is_about_is_any_word(tokenizer: TextTokenizer) -> None:
    known = KnownWords.of(tokenizer.pieces)
    asked = [facts.make_fact("fact_place", random.Random(number), known).question for number in range(1500)]
    kinds = [
        match[1]
        for question in asked
        if (match := re.fullmatch(r"What is the (\S+) (?:\S+|meeting place|hiding place|landing place)\?", question))
    ]
    assert len(kinds) > 250
    assert len(set(kinds)) > len(kinds) / 3
    assert len(set(kinds) & set(facts._KINDS)) > 30


def test_a_made_up_name_is_no_reserved_city(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["nairobi", "harare", "elsewhere"])
    monkeypatch.setattr(names, "_syllables", lambda rng: next(drawn))
    assert names.name(random.Random(0)) == "Elsewhere"
    assert {"Nairobi", "Lisbon", "Kathmandu", "Valparaiso"} <= set(RESERVED_CITIES)


def test_names_do_not_run_out() -> None:
    rng = random.Random(0)
    for make, most_common in ((names.person, 2), (names.place, 8), (names.code, 4), (names.number, 12), (names.word, 20)):
        assert Counter(make(rng) for _ in range(5000)).most_common(1)[0][1] <= most_common


def test_known_words_are_single_tokens_that_can_be_names(tokenizer: TextTokenizer) -> None:
    known = KnownWords.of(tokenizer.pieces)
    assert known
    assert {"William", "Germany", "Green"} <= set(known.names)
    assert {"water", "island"} <= set(known.words)
    assert {"London", "City", "When", "However", "These", "Several", "This"}.isdisjoint(known.names)
    assert {"their", "magic", "would"}.isdisjoint(known.words)
    every = (*known.names, *known.words)
    assert len(set(every)) == len(every)
    assert all(len(ids_T) == 1 for ids_T in tokenizer.encode([f" {text}" for text in every]))
    assert NOT_NAMES.isdisjoint(text.lower() for text in every)


def test_familiar_values_are_short_and_known(tokenizer: TextTokenizer) -> None:
    known, rng = KnownWords.of(tokenizer.pieces), random.Random(0)
    forms = {"fact_code": "[A-Z]{2}[0-9]{2}", "fact_number": "[1-9][0-9]{1,3}", "fact_year": "[12][0-9]{3}"}
    forms |= {"fact_place": "[A-Z][a-z]{3,}", "fact_person": "[A-Z][a-z]{3,} [A-Z][a-z]{3,}", "fact_word": "[a-z]{5,}"}
    for style in FACT_STYLES:
        answers = [facts.make_fact(style, rng, known).answer for _ in range(300)]
        assert all(re.fullmatch(forms[style], answer) for answer in answers)
        assert len(set(answers)) > 80
        capitals = {word for _ in range(300) for word in re.findall(r"(?<= )[A-Z][a-z]+", facts.make_fact(style, rng, known).sentence)}
        assert all(capital.startswith(known.names) for capital in capitals)


def test_some_familiar_names_go_on_behind_their_first_token(tokenizer: TextTokenizer) -> None:
    known, rng = KnownWords.of(tokenizer.pieces), random.Random(0)
    for single, made in ((known.names, [known.place(rng) for _ in range(1000)]), (known.words, [known.word(rng) for _ in range(1000)])):
        assert 0.3 < sum(name not in single for name in made) / len(made) < 0.5
        assert all(name.startswith(single) for name in made)
        assert sum(len(ids_T) for ids_T in tokenizer.encode([f" {name}" for name in made])) < 1.6 * len(made)


def test_facts_take_words_from_phrases_of_their_text(tokenizer: TextTokenizer) -> None:
    text = " Anna saw the yellow comet. The rusty city was silent, and the magic comet of the gloomy shore rose over the other side."
    phrases = Phrases.of(text)
    assert phrases == Phrases(("yellow", "gloomy"), ("comet", "shore"))
    curriculum = Curriculum(config(older=0, recall=0, literal=0), tokenizer)
    row_T = tokenizer.encode([text * 16])[0].astype(np.int64)
    told = [task.question for number in range(60) for task in curriculum.ask(row_T, random.Random(number)).tasks]
    assert sum(bool(re.search(r"\b(?:yellow|gloomy) (?:comet|shore)\b", question)) for question in told) > 5
    assert 0.2 < sum(bool(re.search("yellow|gloomy|comet|shore", question)) for question in told) / len(told) < 0.6


def test_a_share_of_the_facts_is_familiar(rows: list[np.ndarray], tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    places = config().only("fact_place")
    monkeypatch.setattr(familiar, "_ENDED", 0)
    known = set(KnownWords.of(tokenizer.pieces).names)
    for share, low, high in ((0, 0, 0), (0.5, 0.35, 0.65), (1, 1, 1)):
        curriculum = Curriculum(places.model_copy(update={"familiar": share}), tokenizer)
        answers = [task.answer for row in asked(rows * 3, curriculum) for task in row.tasks]
        assert low <= sum(answer in known for answer in answers) / len(answers) <= high
    assert KnownWords.of(tokenizer.pieces[:1000]) is None
    monkeypatch.setattr(familiar, "FEWEST", 10_000)
    made_up = Curriculum(places.model_copy(update={"familiar": 1.0}), tokenizer)
    assert not known & {task.answer for row in asked(rows, made_up) for task in row.tasks}


def test_no_row_tells_two_answers_to_one_question(rows: list[np.ndarray], tokenizer: TextTokenizer) -> None:
    curriculum = Curriculum(config(tokens_per_answer=8, edges=0).only("fact_word"), tokenizer)
    told: Counter[int] = Counter()
    for row in asked(rows, curriculum):
        said = re.findall(r"The (\w+) word is", text_of(row.row_T, tokenizer))
        assert len(set(said)) == len(said)
        told[len(said)] += 1
    assert max(told) > 4


def test_prompts_and_answers_are_those_that_are_served(rows: list[np.ndarray]) -> None:
    checkpoint = load_tokenizer(Path(lloco_core.__file__).parent / "models" / "reference")
    wording = AnswerConfig()
    curriculum = Curriculum(config(), TextTokenizer.of(checkpoint))
    tasks = curriculum.ask(rows[0], random.Random(0)).tasks
    assert tasks
    for task, (after, prompt, answer) in zip(tasks, curriculum.tokenise(tasks), strict=True):
        assert after == task.after
        assert prompt.tolist() == prompt_ids(checkpoint, task.question, wording)
        assert answer.tolist() == answer_ids(checkpoint, task.answer, wording)
        assert checkpoint.decode(answer) == f" {task.answer}</s>"
        assert checkpoint.decode(prompt) == f"\nQuestion: {task.question}\nAnswer:"


def test_rows_without_sentences_or_words_get_fewer_questions(tokenizer: TextTokenizer) -> None:
    curriculum = Curriculum(config(older=0), tokenizer)
    for ids_T in (np.full(T, tokenizer.end_id), tokenizer.encode(["한" * 4 * T])[0][:T].astype(np.int64)):
        row = curriculum.ask(ids_T, random.Random(1))
        assert row.row_T.shape == (T,)
        assert {task.style for task in row.tasks} <= {*FACT_STYLES, "recall"}  # of the words of a fact
    tiny = curriculum.ask(np.full(8, 300), random.Random(1))
    assert tiny.row_T.shape == (8,)


def test_impossible_mixes_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"leaves no style of literal; set curriculum\.literal to 0"):
        config(held_out_styles=LITERAL_STYLES)
    with pytest.raises(ValidationError, match="all 0"):
        config(facts=0, literal=0, recall=0)
    with pytest.raises(ValidationError, match="held_out_styles"):
        config(held_out_styles=("who_sang",))
    with pytest.raises(ValidationError, match="multiple of row_tokens 100"):
        texts.config("x.jsonl", Path("cache"), rows=[{"row_tokens": 100}])


def test_every_city_of_the_needles_tests_is_reserved():
    assert [city for city in cities.FOR_TESTS if not is_reserved(f"They met in {city}.")] == []
