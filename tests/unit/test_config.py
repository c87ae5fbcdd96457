"""Configuration: one object from YAML, command line, and flow parameters; refusals name key, value, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from lloco_core.config import CorpusConfig, MaintainConfig, NightlyConfig
from lloco_core.errors import ConfigurationError
from lloco_core.options import parse_options
from lloco_core.settings import Settings, lance_storage_options, settings

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = ["--corpus.uri", "texts", "--store.uri", "store"]


def test_command_line_overrides_the_file(tmp_path: Path):
    file = tmp_path / "night.yaml"
    file.write_text("corpus: {uri: texts, max_tokens: 7}\nstore: {uri: store}\nfinetune: {zero_stage: 3}\n")
    config = parse_options(["--config", str(file), "--store.uri", "s3://bucket/store", "--finetune.learning-rate", "0.5"])
    assert (config.corpus.max_tokens, config.finetune.zero_stage) == (7, 3)
    assert (config.store.uri, config.finetune.learning_rate) == ("s3://bucket/store", 0.5)


def test_a_maintenance_has_options_of_its_own():
    config = parse_options(["--store.uri", "store", "--maintenance.keep-nights", "3"], MaintainConfig)
    assert config == MaintainConfig(store={"uri": "store"}, maintenance={"keep_nights": 3})
    with pytest.raises(ConfigurationError, match=r"maintenance\.orphan_days = '8': .* less than or equal to 7"):
        parse_options(["--store.uri", "store", "--maintenance.orphan-days", "8"], MaintainConfig)
    with pytest.raises(ConfigurationError, match=r"--corpus\.uri texts"):
        parse_options(MINIMAL, MaintainConfig)


def test_the_environment_is_no_configuration(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CORPUS", '{"uri": "elsewhere"}')
    monkeypatch.setenv("STORE", "elsewhere")
    assert parse_options(MINIMAL).corpus.uri == "texts"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--corpus.max-bytes", "0"], ["corpus.max_bytes", "'0'", "greater than or equal to 1"]),
        (["--finetune.zero-stage", "1"], ["finetune.zero_stage", "'1'", "2 or 3"]),
        (["--corpus.colour", "red"], ["--corpus.colour red", "--help"]),
        (["--finetune.global-batch", "6"], ["finetune.global_batch 6", "multiple of finetune.micro_batch 4"]),
        (["--answer.question-template", "Q:"], ["{question}"]),
        (["--config", "absent.yaml"], ["absent.yaml"]),
    ],
)
def test_refusals_name_key_value_and_what_is_allowed(arguments: list[str], parts: list[str]):
    with pytest.raises(ConfigurationError) as refusal:
        parse_options([*MINIMAL, *arguments])
    for part in parts:
        assert part in str(refusal.value)


def test_unknown_keys_in_the_file_are_refused(tmp_path: Path):
    file = tmp_path / "night.yaml"
    file.write_text("corpus: {uri: texts, max_token: 7}\nstore: {uri: store}\n")
    with pytest.raises(ConfigurationError, match=r"corpus\.max_token = 7: Extra inputs are not permitted"):
        parse_options(["--config", str(file)])


@pytest.mark.parametrize("uri", ["s3://KEY:hunter2@bucket/x", "s3://bucket/x?secret_key=hunter2", "https://host/x?X-Amz-Signature=hunter2"])
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str):
    with pytest.raises(ValidationError) as refusal:
        CorpusConfig(uri=uri)
    assert "AWS_SECRET_ACCESS_KEY" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(ConfigurationError) as refusal:
        parse_options(["--corpus.uri", uri, "--store.uri", "store"])
    assert "hunter2" not in str(refusal.value)


def test_configurations_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        parse_options(MINIMAL).corpus.uri = "other"


def test_every_field_is_documented():
    for concern in NightlyConfig.model_fields.values():
        for name, field in concern.annotation.model_fields.items():
            assert field.description, f"{concern.annotation.__name__}.{name}"


@pytest.mark.parametrize("name", ["laptop.yaml", "fairytaleqa.yaml"])
def test_examples_are_valid(name: str):
    assert parse_options(["--config", str(ROOT / "examples" / name), *MINIMAL]).store.uri == "store"


def test_secrets_are_not_readable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LLOCO_TEACHER_API_KEY", "hunter3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    settings.cache_clear()
    try:
        shown = f"{Settings()!r} {Settings()!s} {Settings().model_dump()!r} {Settings().model_dump_json()}"
        assert "hunter" not in shown
        options = lance_storage_options()
        assert options["secret_access_key"] == "hunter2"
        assert options["allow_http"] == "true"
    finally:
        settings.cache_clear()


def test_lance_waits_as_long_as_the_setting_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLOCO_S3_OUTAGE_SECONDS", "45")
    settings.cache_clear()
    try:
        options = lance_storage_options()
        assert (options["request_timeout"], options["client_retry_timeout"]) == ("60s", "105")
    finally:
        settings.cache_clear()
