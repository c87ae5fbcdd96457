"""The one file that reads the environment.

Everything a process takes from its surroundings (endpoints, credentials, addresses) is a field here; everything a
run is asked to do is in `lloco_core.config`. Secrets are `SecretStr`: they have no readable repr and are never logged.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lloco_core.credentials import MESSAGE, has_credentials
from lloco_core.errors import ConfigurationError

CONNECT_SECONDS = 10
"""An S3 endpoint that does not take a connection for this long is given up; the request is sent again."""

REQUEST_SECONDS = 60
"""A request to S3 without an answer is given up after this long, and sent again."""

LANCE_RETRIES = 10_000
"""So many that the time decides: the pauses between the attempts are random and mostly below a second."""


class Settings(BaseSettings):
    """Surroundings of this process. AWS names are the standard ones, so that existing deployments just work."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    aws_endpoint_url: str | None = Field(None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    aws_region: str = Field("us-east-1", validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))
    aws_access_key_id: str | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    aws_session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")
    s3_outage_seconds: float = Field(90, ge=0, le=3600, validation_alias="LLOCO_S3_OUTAGE_SECONDS")
    """Outages of S3 up to this long are waited out by everything that reads or writes there."""
    teacher_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("LLOCO_TEACHER_API_KEY", "OPENAI_API_KEY"))
    ray_address: str | None = Field(None, validation_alias="RAY_ADDRESS")
    cache_home: str | None = Field(None, validation_alias="XDG_CACHE_HOME")
    temporary_folder: str = Field("/tmp", validation_alias=AliasChoices("RAY_TMPDIR", "TMPDIR"))  # noqa: S108 (where Ray looks)
    """Below it lie the logs of a local Ray."""
    git_commit: str = Field("unknown", validation_alias="LLOCO_GIT_COMMIT")

    @field_validator("aws_endpoint_url", "ray_address")
    @classmethod
    def _without_credentials(cls, address: str | None) -> str | None:
        """These addresses are repeated in messages of this package and of its libraries."""
        if address and has_credentials(address):
            raise ValueError(MESSAGE)
        return address


@cache
def settings() -> Settings:
    """Read the environment once per process.

    Raises:
        ConfigurationError: an address with credentials in it.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"environment variable {item['loc'][0]}: {item['msg']}" for item in error.errors(include_input=False))
        raise ConfigurationError(problems) from None


@cache
def cache_folder() -> Path:
    """Folder for what can be fetched again: below XDG_CACHE_HOME or the home folder, else one that goes with this process."""
    return kept_cache_folder() or Path(_own_folder().name)


def kept_cache_folder() -> Path | None:
    """The cache folder that other processes find again; None where there is no home folder, or it cannot be written."""
    given = settings().cache_home
    try:  # a numeric user in a container has no home folder, or / as one
        folder = (Path(given) if given and Path(given).is_absolute() else Path.home() / ".cache") / "lloco"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


@cache
def _own_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="lloco-cache-")


def lance_storage_options() -> dict[str, str]:
    """Storage options for Lance and LanceDB on S3: a request is repeated for the longest outage and one unanswered request more.

    Without keys in the environment the client's own credential chain (instance role, profile) is used.
    """
    env = settings()
    options = {
        "region": env.aws_region,
        "client_max_retries": str(LANCE_RETRIES),
        "client_retry_timeout": f"{env.s3_outage_seconds + REQUEST_SECONDS:.0f}",
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "request_timeout": f"{REQUEST_SECONDS}s",
    }
    if env.aws_endpoint_url:
        options["endpoint"] = env.aws_endpoint_url
        options["virtual_hosted_style_request"] = "false"
        options["allow_http"] = str(env.aws_endpoint_url.startswith("http://")).lower()
    if env.aws_access_key_id and env.aws_secret_access_key:
        options["access_key_id"] = env.aws_access_key_id
        options["secret_access_key"] = env.aws_secret_access_key.get_secret_value()
        if env.aws_session_token:
            options["session_token"] = env.aws_session_token.get_secret_value()
    return options


S3_ENVIRONMENT = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
"""For the AWS SDK inside pyarrow, which has no such option: by default it sends checksums after the data, which Ceph refuses (411)."""

RAY_ENVIRONMENT = S3_ENVIRONMENT | {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # worker output would be printed twice
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # progress is reported per committed batch
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Defaults for the processes of a Ray session, set before ray is imported; existing values win."""

LOCAL_RAY_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name says little: with it everything listens on the loopback address only
}
"""More defaults where the driver starts the cluster on its own machine."""
