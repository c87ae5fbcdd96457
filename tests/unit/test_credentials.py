"""Credentials in addresses are refused wherever an address comes in, and never repeated."""

import json
import traceback

import pytest
import typer
from typer.testing import CliRunner

from lloco_core.cli import main
from lloco_core.config import CorpusConfig, NightlyConfig, TeacherConfig
from lloco_core.corpus.sources import list_corpus
from lloco_core.credentials import has_credentials
from lloco_core.errors import ConfigurationError
from lloco_core.objects import canonical_root, open_objects
from lloco_core.options import parse_options
from lloco_core.settings import settings
from lloco_core.store.tables import Store

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"

WITH_SECRET = [
    f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/prefix",
    f"S3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/prefix",
    f"s3://AKIAIOSFODNN7EXAMPLE:wJal/{SECRET}@bucket/prefix",
    f"s3://AKIAIOSFODNN7EXAMPLE%3A{SECRET}%40bucket/prefix",
    f"s3://{SECRET}@bucket",
    f"s3://bucket/prefix?secret_access_key={SECRET}",
    f"s3://bucket/prefix?x=1&X-Amz-Security-Token={SECRET}",
    f"https://host/v1?api_key={SECRET}",
    f"https://host/v1#access_token={SECRET}",
    f"https://user:{SECRET}@host/v1",
    f"https://user:ab/{SECRET}@host/v1",
    f"https://account.blob.host/c/x?sv=2024&sig={SECRET}",
    f"file:///data?password={SECRET}",
]
WITHOUT = [
    "s3://bucket/key=5/a@b?x#1.txt",
    "s3://bucket/max_tokens=5",
    "http://127.0.0.1:8000/v1",
    "http://[::1]:8000/v1",
    "https://host/v1?version=2024-01-01",
    "file:///data/a@b",
    "data/me@home:8",
]


@pytest.mark.parametrize("uri", WITH_SECRET)
def test_they_are_refused_everywhere_and_repeated_nowhere(uri, tmp_path, monkeypatch):
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps({"uri": uri}) + "\n")
    config = tmp_path / "night.yaml"
    config.write_text(json.dumps({"corpus": {"uri": "texts"}, "store": {"uri": "store"}, "surplus": {"uri": uri}}))
    whole = ["--corpus.uri", "texts", "--store.uri", "store"]
    for act in (
        lambda: CorpusConfig(uri=uri),
        lambda: CorpusConfig(uri=uri + "x" * 5000),
        lambda: TeacherConfig(base_url=uri, model="m"),
        lambda: NightlyConfig.model_validate({"corpus": uri, "store": {"uri": "s"}}),
        lambda: parse_options([*whole, "--questions.file", uri]),
        lambda: parse_options([*whole, f"--closing.file={uri}"]),
        lambda: parse_options([*whole, "--unknown", uri]),
        lambda: parse_options(["--config", str(config)]),
        lambda: list(list_corpus(CorpusConfig(uri=str(manifest)))),
        lambda: Store(uri),
        lambda: open_objects(uri),
        lambda: canonical_root(uri),
    ):
        with pytest.raises((ValueError, ConfigurationError)) as refusal:
            act()
        assert SECRET not in "".join(traceback.format_exception(refusal.value))
    monkeypatch.setattr("sys.argv", ["lloco", "status", "--store", uri])
    shown = CliRunner().invoke(_main_as_command())
    assert shown.exit_code == 1
    assert "must not carry credentials" in shown.output
    assert SECRET not in shown.output


def _main_as_command():
    command = typer.Typer(add_completion=False)
    command.command()(main)
    return command


@pytest.mark.parametrize("uri", WITHOUT)
def test_ordinary_addresses_are_taken(uri):
    assert not has_credentials(uri)
    assert CorpusConfig(uri=uri).uri == uri


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "RAY_ADDRESS"])
def test_an_address_in_the_environment_is_refused_by_its_name(name, monkeypatch):
    monkeypatch.setenv(name, f"http://user:{SECRET}@host:1")
    settings.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match="must not carry credentials") as refusal:
            settings()
    finally:
        monkeypatch.delenv(name)
        settings.cache_clear()
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_a_secret_under_a_wrong_key_is_not_repeated(tmp_path):
    config = tmp_path / "night.yaml"
    config.write_text(json.dumps({"corpus": {"uri": "texts"}, "store": {"uri": "store", "secret_access_key": SECRET}}))
    with pytest.raises(ConfigurationError, match=r"store\.secret_access_key: Extra inputs") as refusal:
        parse_options(["--config", str(config)])
    assert SECRET not in str(refusal.value)
