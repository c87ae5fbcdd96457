"""The table of the reference checkpoint: whole, on held-out text alone, and measurable on a machine without the pipeline's stores."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks import reference
from benchmarks.haystacks import haystacks
from lloco_core.compressor import locate_checkpoint
from lloco_core.encoder_training.text.tokenising import open_token_cache
from lloco_core.encoder_training.text.tokens import TextTokenizer
from lloco_core.errors import DatasetError
from lloco_core.evaluation.needle import DEPTHS
from tests.unit.text.texts import config, story

ABSENT = ("ray", "lance", "lancedb", "duckdb", "prefect", "boto3")


@pytest.fixture
def corpus(tmp_path):
    rows = [{"id": f"doc{number}", "text": f"Document {number}. " + story(f"long{number}", 20)} for number in range(40)]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return config(tmp_path / "text.jsonl", tmp_path / "cache", validation=0.4), {row["id"]: row["text"] for row in rows}


def test_it_loads_where_neither_ray_nor_a_store_is_installed():
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import benchmarks.reference, benchmarks.adapters; print('loaded')"
    done = subprocess.run([sys.executable, "-c", code], cwd=reference.RESULT.parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "loaded"


def test_haystacks_are_of_held_out_documents_and_long_enough(corpus):
    text, documents = corpus
    tokenizer = TextTokenizer((locate_checkpoint("reference") / "tokenizer.json").read_text(), end_id=2)
    cache = open_token_cache(text, tokenizer)
    names = cache.ids()
    held = [names[number] for number in cache.documents("validation", text.validation)]
    found = haystacks(cache, text, tokenizer, 3, 1200)
    used = [name for name in documents if any(f"Document {name[3:]}. " in hay for hay in found.values())]
    assert len(found) == 3
    assert set(used) <= set(held)
    for name, hay in found.items():
        assert hay.startswith(documents[name])
        assert len(tokenizer.encode([hay])[0]) >= 1200
    assert sum(hay.count("Document ") for hay in found.values()) == len(used)  # none is in two
    with pytest.raises(DatasetError, match="held-out documents give 0 haystacks of 1000000 tokens; raise the validation share"):
        haystacks(cache, text, tokenizer, 3, 1_000_000)


def test_the_whole_table_is_measured_at_scale_one():
    whole = reference.Size.at(1)
    assert (whole.lengths, whole.depths) == (reference.LENGTHS, DEPTHS)
    small = reference.Size.at(0.01)
    assert (small.lengths, small.depths) == ((1500, 3000), (0.0, 0.5, 1.0))
    assert reference.Size.at(0.01, [6000]).lengths == (6000,)
    assert reference.Size.at(0.01, windows=96) == replace(small, n_windows=whole.n_windows)
    assert min(small.n_haystacks, small.n_documents, small.n_windows) == 2  # intervals need two


def test_styles_that_training_left_out_have_a_table_of_their_own(tmp_path):
    rows = [{"id": f"doc{number}", "text": story(f"asked{number}", 200)} for number in range(8)]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--text", f"stories={tmp_path / 'text.jsonl'}", "--cache", str(tmp_path / "cache"), "--validation", "0.5", "--device", "cpu"]
    tokenizer, asked = TextTokenizer((locate_checkpoint("reference") / "tokenizer.json").read_text(), end_id=2), {}
    for held_out in ([], ["--held-out", "fill_in", "who_did"]):
        options = reference.parse(given + held_out)
        kind = reference.open_kind(options.text[0], tokenizer, options)
        cases = reference.Measuring(None, None, reference.Size.at(0.1), options)._questions(kind, tokenizer)
        asked[len(held_out)] = {table: {case.style for case in cases if case.table == table} for table in {case.table for case in cases}}
        assert ("--held-out fill_in who_did" in reference.about("benchmarks.reference", options, 1.0)["command"]) == bool(held_out)
    assert asked[0].keys() == {"facts_em", "rare_facts_em", "literal_f1"}
    assert {"fill_in", "who_did"} <= asked[0]["literal_f1"]
    assert asked[3]["held_out_f1"] == {"fill_in", "who_did"}
    assert asked[3]["literal_f1"] == asked[0]["literal_f1"] - {"fill_in", "who_did"}


def test_the_result_names_no_folder_of_this_machine():
    given = "--text books=/a/b.jsonl,/a/c.jsonl --cache /somewhere/cache --base /a/lm --device cpu --lengths 1500 32000"
    options = reference.parse(given.split())
    about = reference.about("benchmarks.reference", options, 1.0)
    assert "--text books=b.jsonl,c.jsonl" in about["command"]
    assert "--lengths 1500 32000" in about["command"]
    assert "/" not in about["command"]
    assert about["versions"].keys() >= {"python", "torch", "transformers"}
