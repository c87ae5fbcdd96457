"""`lloco doctor`: what would fail a night, found in seconds and without changing anything but one probe object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from lloco_core.errors import LlocoError
from lloco_core.objects import canonical_root, open_objects
from lloco_core.objects.conditional import check_conditional_writes
from lloco_core.settings import CONNECT_SECONDS, REQUEST_SECONDS, kept_cache_folder, settings

DISTRIBUTION = "lloco-pipeline"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    ok: bool
    detail: str


def run_checks(store: str | None, model: str) -> list[Check]:
    """Run all checks; a check that fails says what to do."""
    checks = [
        _guard("versions", _check_versions),
        _guard("model", lambda: _check_model(model)),
        _guard("ray", _check_ray),
        Check("cache", True, _describe_cache()),
    ]
    if store:
        checks.append(_guard("store", lambda: check_conditional_writes(open_objects(store, outage_seconds=0))))
        checks.append(Check("outages", True, _describe_outages(store)))
    return checks


def _guard(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except LlocoError as error:
        return Check(name, False, str(error))


def _describe_cache() -> str:
    folder = kept_cache_folder()
    if folder is None:
        return (
            "there is no home folder that can be written: every process fetches adapters of a store on S3 anew; "
            "set HOME or XDG_CACHE_HOME to a folder to keep them"
        )
    return f"adapters of a store on S3 are kept in {folder}"


def _describe_outages(store: str) -> str:
    if not canonical_root(store).startswith("s3://"):
        return "are those of S3; this store is a folder"
    longest = settings().s3_outage_seconds
    return (
        f"of S3 up to {longest:.0f} s are waited out (LLOCO_S3_OUTAGE_SECONDS): every request is sent again for "
        f"{longest + REQUEST_SECONDS:.0f} s; an attempt without connection is given up after {CONNECT_SECONDS} s, "
        f"one without answer after {REQUEST_SECONDS} s"
    )


def _check_versions() -> str:
    wrong = []
    for line in requires(DISTRIBUTION) or ():
        requirement = Requirement(line)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", "gpu", "orchestration")):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = None
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found or 'is missing'}, needed {requirement.specifier or 'any version'}")
    if wrong:
        raise LlocoError("; ".join(wrong) + "; install with `make setup`")
    return f"{DISTRIBUTION} {version(DISTRIBUTION)} and its requirements fit"


def _check_model(model: str) -> str:
    from lloco_core.compressor.loading import describe_encoder

    return f"{model}: {describe_encoder(model)}"


def _check_ray() -> str:
    address = settings().ray_address
    if not address:
        return f"RAY_ADDRESS is not set: this machine is the cluster (ray {_ray_version()})"
    from lloco_core.distributed.session import describe_cluster

    return f"{address}: {describe_cluster(address)}"


def _ray_version() -> str:
    try:
        return version("ray")
    except PackageNotFoundError:
        raise LlocoError("ray is missing; install the extra `orchestration`") from None
