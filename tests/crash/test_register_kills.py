"""A registration that is killed (kill -9) at every step: repeated, it ends as an undisturbed one, and readers never see half of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lloco_core.config import FinetuneConfig
from lloco_core.registry.active import active_adapters
from lloco_core.registry.candidates import Candidate, adapter_name, save_candidate
from lloco_core.registry.publish import registered_adapters
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from tests.crash.drill import ENCODER, write_corpus
from tests.crash.loop import ingest
from tests.crash.registering import POINTS, register_all
from tests.unit.registry.adapters import save_tiny_adapter

REPOSITORY = Path(__file__).parents[2]
GROUPS = ("north", "south")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Per point: the store of an interrupted registration. Key `None` is the undisturbed one."""
    folder = tmp_path_factory.mktemp("registering")
    write_corpus(folder / "corpus")
    ingest(folder / "corpus", str(folder / "first"), "night-1")
    store = Store(str(folder / "first"))
    for seed, group in enumerate(GROUPS):
        wait(store, group, save_tiny_adapter(folder / group, FinetuneConfig(r=2), seed))
    stores = {point: folder / str(number) for number, point in enumerate(POINTS)} | {None: folder / "undisturbed"}
    for copy in stores.values():
        shutil.copytree(folder / "first", copy)
    drills = [f"{point}={stores[point]}" for point in POINTS]
    arguments = [sys.executable, "-m", "tests.crash.registering", *drills]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
    assert done.stdout.splitlines() == [f"{point}=-9" for point in POINTS], done.stderr
    register_all(str(stores[None]))
    return {point: str(path) for point, path in stores.items()}


def wait(store, group, folder):
    candidate = Candidate(
        adapter_id=adapter_name(group, {"training": group}),
        group=group,
        night="night-1",
        encoder_fingerprint=ENCODER,
        base_model="reference",
        recipe={"r": 2},
        metrics={"holdout_loss_before": 2.0, "holdout_loss_after": 1.0, "seconds": 1.0},
        documents={},
        n_examples=7,
    )
    save_candidate(store.objects, candidate, folder)


def outcome(store_uri):
    """All that a registration leaves, without its times."""
    store = Store(store_uri)
    files = {item.key: store.objects.get(item.key) for item in store.objects.list("adapters/")}
    history = [(item.key, json.loads(store.objects.get(item.key))["adapter_id"]) for item in store.objects.list("registry/")]
    records = [{name: value for name, value in row.items() if name != "created_at"} for row in registered_adapters(store)]
    night = open_night(store_uri)
    return files, history, records, night.name, {group: night.adapter(group) for group in GROUPS}


def test_the_undisturbed_registration_serves_both_groups(killed):
    *_, night, adapters = outcome(killed[None])
    assert night == "night-1"
    assert adapters == {group: active_adapters(Store(killed[None]).objects)[group].adapter_id for group in GROUPS}


@pytest.mark.parametrize("point", POINTS)
def test_the_next_registration_ends_as_if_nothing_had_happened(killed, point):
    night = open_night(killed[point])
    assert [night.adapter(group) for group in GROUPS] == [None, None]  # readers have the night without adapters, not half of them
    register_all(killed[point])
    assert outcome(killed[point]) == outcome(killed[None])
    register_all(killed[point])
    assert outcome(killed[point]) == outcome(killed[None])
