"""Command line and YAML as a configuration: `--config night.yaml` first, then options such as `--corpus.uri` over it.

Used by the flow entry points. Refusals name the key as the user typed it, the value, and what is allowed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from lloco_core.config import Concern, NightlyConfig
from lloco_core.credentials import has_credentials, is_secret_name, refuse_credentials
from lloco_core.errors import ConfigurationError

_Config = TypeVar("_Config", bound=Concern)


class _Options(BaseSettings):
    """Every option is also a key of the YAML file and a parameter of the Prefect flow."""

    model_config = SettingsConfigDict(
        cli_avoid_json=True, cli_hide_none_type=True, cli_kebab_case=True, cli_exit_on_error=False, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # the command line is put before it; no environment, no files


def parse_options(arguments: list[str] | None = None, model: type[_Config] = NightlyConfig) -> _Config:
    """Build the configuration of a run, by default of a night, from command line arguments.

    Raises:
        ConfigurationError: an unknown key or an impossible value.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for argument in arguments:
        refuse_credentials(argument)
    base = _take_config_file(arguments)
    try:
        kind = type("_Options", (_Options, model), {"__doc__": f"{model.__doc__} {_Options.__doc__}"})
        options = kind(_cli_settings_source=CliSettingsSource(kind, cli_parse_args=arguments), **base)
        return model.model_validate(options.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise ConfigurationError(explain(error)) from None
    except SettingsError as error:
        raise ConfigurationError(f"{error}; `--help` lists the options") from None


def explain(error: ValidationError) -> str:
    """One line per refused key: key, value, and what is allowed. Values that hold a secret are left out."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        hidden = item["type"] == "missing" or _has_secret({item["loc"][-1] if item["loc"] else "": item["input"]})
        shown = "" if hidden else f" = {item['input']!r}"
        lines.append(f"{key}{shown}: {item['msg']}")
    return "; ".join(lines)


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any((isinstance(inner, str) and is_secret_name(str(key))) or _has_secret(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(_has_secret, value))
    return isinstance(value, str) and has_credentials(value)


def _take_config_file(arguments: list[str]) -> dict[str, Any]:
    if "--config" not in arguments:
        return {}
    position = arguments.index("--config")
    if position + 1 == len(arguments):
        raise ConfigurationError("--config needs the path of a YAML file")
    path = Path(arguments[position + 1])
    del arguments[position : position + 2]
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"--config {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"--config {path} holds {type(values).__name__}, expected keys such as corpus and store")
    return values
