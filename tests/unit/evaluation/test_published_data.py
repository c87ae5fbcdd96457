"""Every loader on the published files, where they lie beside the repository: counts, shapes, and spot checks."""

from collections import Counter

import pytest

from lloco_core.evaluation.answers import contained
from lloco_core.evaluation.datasets import fairytaleqa, hotpotqa, qmsum, quality, squad, squality


def assert_sound(examples):
    assert len({example.question_id for example in examples}) == len(examples)
    for example in examples:
        assert example.question == example.question.strip() != ""
        assert all(reference.strip() for reference in example.references) and example.references
        assert len(example.document) > 300
        assert "\r" not in example.document


@pytest.mark.parametrize(("split", "stories", "questions"), [("train", 232, 8548), ("val", 23, 1025), ("test", 23, 1007)])
def test_fairytaleqa(published, split, stories, questions):
    examples = fairytaleqa.load(published("fairytaleqa"), split)
    assert_sound(examples)
    assert (len({example.document_id for example in examples}), len(examples)) == (stories, questions)
    assert {example.measure for example in examples} == {"f1"}
    assert max(len(example.references) for example in examples) > 1


def test_fairytaleqa_joins_sections_and_both_annotators(published):
    first = fairytaleqa.load(published("fairytaleqa"))[1]
    assert first.question_id == "alleleiraugh-or-the-many-furred-creature/2"
    assert first.references == ("She was so beautiful.", "she was too beautiful", "no one had golden hair")
    assert "not\nhaving been able to find a queen.\n\nNow, the King had a daughter" in first.document


def test_squad_per_article(published):
    examples = squad.load(published("squad/dev-v1.1.json"))
    sizes = Counter(example.document_id for example in examples)
    assert_sound(examples)
    assert (len(sizes), len(examples)) == (24, 4961)
    assert len(examples[0].document.split("\n\n")) == 54
    assert all(reference in example.document for example in examples for reference in example.references)


def test_squality(published):
    by_split = {name: squality.load(published(f"squality/{name}.jsonl")) for name in ("train", "dev", "test")}
    assert {name: len(examples) for name, examples in by_split.items()} == {"train": 250, "dev": 125, "test": 260}
    for examples in by_split.values():
        assert_sound(examples)
        assert {len(example.references) for example in examples} == {4}
        assert {example.measure for example in examples} == {"rouge"}


def test_qmsum_from_a_folder_and_from_lines(published):
    folder = qmsum.load(published("qmsum/train"))
    lines = {name: qmsum.load(published(f"qmsum/{name}.jsonl")) for name in ("val", "test")}
    assert [len({example.cluster for example in examples}) for examples in (folder, *lines.values())] == [162, 35, 35]
    assert len(folder) + sum(map(len, lines.values())) == 1810
    assert_sound(folder)
    first = folder[0]
    assert (first.document_id, first.question_id, first.question) == ("Bdb001", "Bdb001/general-1", "Summarize the whole meeting")
    assert first.document.startswith("Grad C: Yeah , we had a long discussion")


def test_quality_strips_the_page_and_letters_the_options(published):
    examples = quality.load(published("quality/quality_example.jsonl"))
    assert len(examples) == 5  # the file repeats its only article
    first = examples[0]
    assert first.question.startswith("Why does Deirdre get so upset")
    assert [line[:3] for line in first.question.splitlines()[1:]] == ["A. ", "B. ", "C. ", "D. "]
    assert first.references == ("B",)
    assert "<" not in first.document
    assert first.document.startswith("THE GIRL IN HIS MIND\nBy ROBERT F. YOUNG\n")
    assert "version of the kylee sex ritual which the Louave maidens" in first.document  # lines of a paragraph are joined
    assert_sound(examples)


def test_hotpotqa_does_not_tell_the_gold_paragraphs_by_their_place(published):
    examples = hotpotqa.load(published("hotpot/camera_ready_nd8_dev_sample100.json"))
    assert_sound(examples)
    assert len(examples) == 100
    assert {example.measure for example in examples} == {"hotpot"}
    closed = [example for example in examples if example.references in (("yes",), ("no",))]
    assert len(closed) == 8
    held = [contained(example.document, example.references) for example in examples if example not in closed]
    assert sum(held) >= 0.9 * len(held)
    paragraphs = next(example for example in examples if example.question_id == "5a8e0dbd554299068b959e3e").document.split("\n\n")
    titles = [paragraph.split("\n")[0] for paragraph in paragraphs]
    assert titles == sorted(titles)
    assert {"Hot Pixel", "PlayStation Portable"} < set(titles)
    assert len(titles) == 10
