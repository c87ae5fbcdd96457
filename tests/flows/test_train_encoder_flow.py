"""The flow that trains an encoder, through Prefect and Ray."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from lloco_core.compressor import load_encoder
from lloco_core.distributed.encoder_training import train_context_encoder
from lloco_core.encoder_training.curves import read
from lloco_core.encoder_training.run import EncoderRunConfig
from lloco_core.errors import ConfigurationError
from tests.contract.tiny_training import SEGMENT, run_config, write_base, write_text

pytestmark = pytest.mark.timeout(400)


@pytest.mark.real
def test_a_finished_run_is_an_encoder_with_its_record(
    prefect_server, open_ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    from prefect.artifacts import Artifact

    from flows.train_encoder import train_encoder

    monkeypatch.chdir(tmp_path)  # workers run in another folder
    home, output = Path("home"), Path("encoder")
    home.mkdir()
    write_base(home / "base")
    write_text(home / "text.jsonl")
    config = run_config(home, "encoder")
    log = logging.getLogger("prefect.task_runs")  # does not propagate
    log.addHandler(caplog.handler)
    record = train_encoder(config)
    log.removeHandler(caplog.handler)

    assert json.loads((output / "training.json").read_text()) == record.as_json()
    assert (record.steps, record.tokens, record.config["training"]) == (6, 6 * 2 * 96, config.public()["training"])
    assert record.versions["torch"] == torch.__version__
    curve = read(output / "curve.jsonl")
    assert [line["step"] for line in curve] == [1, 2, 3, 4, 5, 6]
    assert curve[-1]["curves"] == record.curves
    assert [line["step"] for line in curve if "validation" in line] == [4, 6]
    assert curve[-1]["validation"] == record.validation
    assert record.validation["base_none"] == pytest.approx(record.validation["none"], rel=0.2)
    assert "step 6 of 6: loss" in caplog.text
    report = Artifact.get("encoder-training").data
    assert record.run in report
    assert f"| perplexity, vectors_3 | {record.validation['vectors_3']:.3f}" in report
    assert Artifact.get("encoder-curves").data.startswith("data:image/png;base64,")
    assert b"<svg" in (output / "curve.svg").read_bytes()

    encoder = load_encoder(str(output))
    assert (encoder.summary_length, encoder.segment_length) == (3, SEGMENT)
    (vectors_PH,) = encoder.encode([encoder.tokenizer("Anna opened a school.").input_ids])
    assert vectors_PH.shape == (3, 16)

    with pytest.raises(ConfigurationError, match=f"holds the encoder of run {record.run}"):
        train_context_encoder(run_config(home, "encoder", training={"seed": 1}), print)


def test_the_example_and_options_make_a_configuration():
    from lloco_core.options import parse_options

    example = str(Path(__file__).parents[2] / "examples" / "train_encoder.yaml")
    arguments = ["--config", example, "--training.steps", "50", "--text.files", "s3://bucket/text", "--output", "s3://bucket/encoder"]
    config = parse_options(arguments, EncoderRunConfig)
    assert (config.start, config.lora, config.training.steps, config.training.batches_per_step) == ("reference", None, 50, 4)
    assert (config.text.files, [shape.row_tokens for shape in config.text.rows]) == (("s3://bucket/text",), [6144, 6144])
    with pytest.raises(ConfigurationError, match="warmup_steps 20 leaves nothing"):
        parse_options([*arguments, "--training.steps", "10"], EncoderRunConfig)
