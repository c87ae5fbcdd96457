"""The example that pretrains a small base: from text files to a model that stock transformers load, in one go or in pieces."""

from __future__ import annotations

import importlib
import json
import random
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

EXAMPLE = Path(__file__).parents[2] / "examples" / "pretrain_base"
WORDS = ["river", "harbour", "winter", "storm", "bridge", "letter", "captain", "valley", "garden", "1914"]
SHAPE = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture
def pretrain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return importlib.import_module("pretrain")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The example's configuration, made tiny."""
    made = random.Random(5)
    documents = [{"id": f"d{number}", "text": " ".join(made.choices(WORDS, k=400)) + "."} for number in range(40)]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    values = yaml.safe_load((EXAMPLE / "base-30m.yaml").read_text())
    values["text"] |= {"files": [str(tmp_path / "text.jsonl")], "cache": str(tmp_path / "cache"), "validation": 0.2}
    values["text"] |= {"drop": None, "processes": 1, "loader_processes": 0}
    values["shape"] |= SHAPE | {"num_key_value_heads": 4, "max_position_embeddings": 64}
    values |= {"stages": [{"row_tokens": 32, "steps": 6}, {"row_tokens": 64, "steps": 2}], "step_tokens": 512, "micro_tokens": 256}
    values |= {"warmup_steps": 2, "log_every": 1, "validate_every": 4, "validation_batches": 2}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def run(pretrain, config: Path, out: Path, *more: str) -> list[dict]:
    pretrain.main(["--config", str(config), "--out", str(out), "--device", "cpu", "--plain", *more])
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in (out / "curve.jsonl").open()]


def test_a_model_that_learned_and_that_stock_transformers_load(pretrain, config: Path, tmp_path: Path):
    curve = run(pretrain, config, tmp_path / "out")
    assert [line["step"] for line in curve] == list(range(1, 9))
    assert curve[-1]["validation_loss"] < curve[3]["validation_loss"] < curve[0]["loss"]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    assert tokenizer.convert_ids_to_tokens(tokenizer("in 1914")["input_ids"])[-4:] == ["1", "9", "1", "4"]
    ids = torch.tensor([tokenizer("river harbour winter storm")["input_ids"]])
    assert model(ids, labels=ids).loss < curve[0]["loss"]
    assert (tmp_path / "out" / "curve.svg").stat().st_size > 1000


def test_a_run_in_pieces_is_the_run(pretrain, config: Path, tmp_path: Path):
    whole = run(pretrain, config, tmp_path / "whole")
    pieces: list[dict] = []
    while len(pieces) < len(whole):
        pieces = run(pretrain, config, tmp_path / "pieces", "--limit-seconds", "0")  # one step each
    steps = [{name: value for name, value in line.items() if name != "validation_loss"} for line in (*whole, *pieces)]
    assert steps[: len(whole)] == steps[len(whole) :]
    weights = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["model"] for name in ("whole", "pieces")]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_a_killed_run_goes_on_from_its_last_checkpoint(pretrain, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"checkpoint_every": 3}))
    whole = run(pretrain, config, tmp_path / "whole")
    step = pretrain.Trainer.train_step

    def dies_in_step_six(trainer, rows):
        if trainer.step == 5:
            raise KeyboardInterrupt
        return step(trainer, rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain.Trainer, "train_step", dies_in_step_six)
        run(pretrain, config, tmp_path / "killed")
    assert torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"] == 3
    assert run(pretrain, config, tmp_path / "killed") == whole


def test_a_share_of_the_training_rows_ends_with_questions(pretrain, config: Path, tmp_path: Path):
    values = yaml.safe_load(config.read_text()) | {"stages": [{"row_tokens": 512, "steps": 1, "with_questions": 0.5}]}
    values["text"]["curriculum"]["tokens_per_answer"] = 128
    settings = pretrain.Pretraining(**values)
    pretrain.train_tokenizer(pretrain.TextConfig(**settings.text), 300, tmp_path / "out" / "tokenizer", 40)
    made = pretrain.Run(settings, tmp_path / "out", None)
    prompt = made.tokenizer.encode(["\nQuestion:"])[0].tolist()
    written = []
    with pretrain.TextLoader(made._source(0)) as loader:
        for batch in islice(loader, 40):
            assert batch.text_BT.shape == (1, 513)
            assert not batch.answers
            written.append(_holds(batch.text_BT[0].tolist(), prompt))
    assert 10 < sum(written) < 30
    assert not any(_holds(rows_BT[0].tolist(), prompt) for rows_BT in made.held_out)


def _holds(row: list[int], ids: list[int]) -> bool:
    return any(row[at : at + len(ids)] == ids for at in range(len(row)))


def test_another_configuration_does_not_go_on_with_a_checkpoint(pretrain, config: Path, tmp_path: Path):
    run(pretrain, config, tmp_path / "out", "--limit-seconds", "0")
    config.write_text(config.read_text().replace("clip: 1.0", "clip: 2.0"))
    with pytest.raises(SystemExit, match="another configuration"):
        run(pretrain, config, tmp_path / "out")
