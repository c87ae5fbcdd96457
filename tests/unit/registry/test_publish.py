"""A candidate's way into the registry, the gate, and the active pointer."""

import dataclasses
import hashlib
import json
import shutil
import threading

import pytest

from lloco_core.adapters import waiting_candidates
from lloco_core.config import FinetuneConfig
from lloco_core.errors import RegistryError
from lloco_core.registry.active import activate, active_adapter, previous_adapter
from lloco_core.registry.candidates import Candidate, adapter_name, candidates, save_candidate
from lloco_core.registry.publish import ensure_active, register, registered_adapters
from lloco_core.store.forgetting.forgotten import Forgotten, save_forgotten
from lloco_core.store.status import store_status
from tests.unit.registry.adapters import save_tiny_adapter

FILES = ("adapter_config.json", "adapter_model.safetensors")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three trained adapters."""
    return [save_tiny_adapter(tmp_path_factory.mktemp(f"adapter-{seed}"), FinetuneConfig(r=2), seed) for seed in range(3)]


def wait(store, folder, number=1, group="a", before=2.0, after=1.0):
    """Put a candidate into the store."""
    candidate = Candidate(
        adapter_id=adapter_name(group, {"training": number}),
        group=group,
        night=f"night-{number}",
        encoder_fingerprint="encoder-1",
        base_model="reference",
        recipe={"r": 2},
        metrics={"holdout_loss_before": before, "holdout_loss_after": after, "seconds": 1.0},
        documents={"d1": "v1", "d2": "v2"},
        n_examples=7,
    )
    save_candidate(store.objects, candidate, folder)
    return candidate


def keys(store, prefix):
    return [item.key.removeprefix(prefix) for item in store.objects.list(prefix)]


def test_names_follow_from_the_training_inputs():
    assert adapter_name("a", {"x": 1, "y": 2}) == adapter_name("a", {"y": 2, "x": 1})
    assert adapter_name("a", {"x": 2, "y": 2}) != adapter_name("a", {"x": 1, "y": 2})
    group, _, digest = adapter_name("a", {}).partition("--")
    assert (group, len(digest)) == ("a", 12)


def test_registering_publishes_records_and_activates(store, folders):
    candidate = wait(store, folders[0])
    assert list(candidates(store.objects)) == waiting_candidates(store) == [candidate]
    assert register(store, candidate) == "registered"

    prefix = f"adapters/{candidate.adapter_id}/"
    assert keys(store, prefix) == [*FILES, "manifest.json"]
    manifest = json.loads(store.objects.get(f"{prefix}manifest.json"))
    for name in FILES:
        data = (folders[0] / name).read_bytes()
        assert store.objects.get(prefix + name) == data
        assert manifest["sha256"][name] == hashlib.sha256(data).hexdigest()
    assert (manifest["documents"], manifest["night"], manifest["parent"]) == ({"d1": "v1", "d2": "v2"}, "night-1", None)

    [row] = registered_adapters(store)
    assert (row["adapter_id"], row["group_id"], row["status"], row["gate"]) == (candidate.adapter_id, "a", "registered", "registered")
    assert (row["n_documents"], row["n_examples"], json.loads(row["files"])) == (2, 7, manifest["sha256"])
    assert active_adapter(store.objects, "a").adapter_id == candidate.adapter_id
    assert waiting_candidates(store) == []
    [shown] = store_status(store.root).adapters
    assert (shown["adapter"], shown["active"], shown["held-out loss"]) == (candidate.adapter_id, "yes", "2.000 -> 1.000")


def test_registering_again_is_a_no_op(store, folders):
    candidate = wait(store, folders[0])
    register(store, candidate)
    before = ([(item.key, item.etag) for item in store.objects.list("adapters/")], registered_adapters(store), keys(store, "registry/"))
    assert register(store, candidate) == "registered"
    assert (
        [(item.key, item.etag) for item in store.objects.list("adapters/")],
        registered_adapters(store),
        keys(store, "registry/"),
    ) == before


def test_the_second_adapter_has_the_first_as_parent(store, folders):
    first, second = wait(store, folders[0], 1), wait(store, folders[1], 2)
    other = wait(store, folders[2], 3, group="b")
    for candidate in (first, second, other):
        register(store, candidate)
    assert {row["adapter_id"]: row["parent"] for row in registered_adapters(store)} == {
        first.adapter_id: None,
        second.adapter_id: first.adapter_id,
        other.adapter_id: None,
    }
    assert active_adapter(store.objects, "a").adapter_id == second.adapter_id
    assert active_adapter(store.objects, "b").adapter_id == other.adapter_id
    assert keys(store, f"adapters/{first.adapter_id}/") == [*FILES, "manifest.json"]  # stays for those who serve it


def test_an_old_candidate_that_is_registered_again_does_not_come_back(store, folders):
    first, second = wait(store, folders[0], 1), wait(store, folders[1], 2)
    for candidate in (first, second, first):
        assert register(store, candidate) == "registered"
    assert active_adapter(store.objects, "a").adapter_id == second.adapter_id


def test_rollback_is_an_activation(store, folders):
    first, second, third = (wait(store, folders[number], number) for number in range(3))
    register(store, first)
    register(store, second)
    back = activate(store.objects, "a", first.adapter_id)
    assert (back.number, active_adapter(store.objects, "a")) == (3, back)
    assert activate(store.objects, "a", first.adapter_id) == back  # again is a no-op
    assert previous_adapter(store.objects, "a", first.adapter_id) == second.adapter_id
    register(store, third)
    assert registered_adapters(store)[-1]["parent"] == first.adapter_id
    assert [json.loads(store.objects.get(item.key))["adapter_id"] for item in store.objects.list("registry/a/")] == [
        candidate.adapter_id for candidate in (first, second, first, third)
    ]


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.5), (1.0, float("nan")), (1.0, float("inf"))])
def test_the_gate_refuses_a_worse_adapter(store, folders, before, after):
    good = wait(store, folders[0], 1)
    register(store, good)
    bad = wait(store, folders[1], 2, before=before, after=after)
    verdict = register(store, bad)
    assert verdict == f"rejected: held-out loss rose from 1.000 to {after:.3f}"
    assert register(store, bad) == verdict
    assert keys(store, f"adapters/{bad.adapter_id}/") == []
    rows = {row["adapter_id"]: (row["status"], row["gate"]) for row in registered_adapters(store)}
    assert rows == {good.adapter_id: ("registered", "registered"), bad.adapter_id: ("rejected", verdict)}
    assert active_adapter(store.objects, "a").adapter_id == good.adapter_id
    assert waiting_candidates(store) == []


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.02), (None, None), (1.0, None)])
def test_the_gate_lets_noise_and_the_unmeasured_pass(store, folders, before, after):
    assert register(store, wait(store, folders[0], before=before, after=after)) == "registered"


def test_an_invalid_adapter_is_recorded_but_not_published(store, folders, tmp_path):
    folder = shutil.copytree(folders[0], tmp_path / "too-large")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 32}))
    candidate = wait(store, folder)
    assert register(store, candidate).startswith("rejected: ")
    assert "rank 32" in registered_adapters(store)[0]["gate"]
    assert keys(store, "adapters/") == keys(store, "registry/") == []


def test_published_files_are_never_replaced(store, folders):
    candidate = wait(store, folders[0])
    key = f"adapters/{candidate.adapter_id}/adapter_model.safetensors"
    store.objects.put(key, b"what servers have cached")
    with pytest.raises(RegistryError, match=r"adapter_model\.safetensors exists with other content; adapters are immutable"):
        register(store, candidate)
    assert store.objects.get(key) == b"what servers have cached"
    assert active_adapter(store.objects, "a") is None


def test_killed_before_the_record_the_next_run_finishes(store, folders):
    """Files and pointer are there, the record is not: the candidate still waits, and its parent is not lost."""
    first, second = wait(store, folders[0], 1), wait(store, folders[1], 2)
    register(store, first)
    activate(store.objects, "a", second.adapter_id)
    assert waiting_candidates(store) == [second]
    assert register(store, second) == "registered"
    assert registered_adapters(store)[-1]["parent"] == first.adapter_id
    assert len(keys(store, "registry/a/")) == 2


def test_a_candidate_without_its_last_file_does_not_exist(store, folders):
    candidate = wait(store, folders[0])
    store.objects.delete(f"_candidates/{candidate.adapter_id}/candidate.json")
    assert list(candidates(store.objects)) == []


def test_two_who_activate_at_once_both_leave_an_entry(store):
    ready, entries = threading.Barrier(4), []

    def run(number):
        ready.wait()
        entries.append(activate(store.objects, "a", f"a--{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.number for entry in entries) == [1, 2, 3, 4]
    assert active_adapter(store.objects, "a") == max(entries, key=lambda entry: entry.number)
    stored = [json.loads(store.objects.get(item.key)) for item in store.objects.list("registry/a/")]
    assert stored == [dataclasses.asdict(entry) for entry in sorted(entries, key=lambda entry: entry.number)]


def test_a_group_that_goes_back_gets_its_old_adapter_back(store, folders):
    first, second = wait(store, folders[0], 1), wait(store, folders[1], 2)
    assert [register(store, candidate) for candidate in (first, second)] == ["registered", "registered"]
    assert active_adapter(store.objects, "a").adapter_id == second.adapter_id
    assert ensure_active(store, "a", first.adapter_id)
    assert active_adapter(store.objects, "a").adapter_id == first.adapter_id
    assert not ensure_active(store, "a", first.adapter_id)
    assert not ensure_active(store, "a", "a--neverregistered")


def test_a_candidate_trained_on_a_forgotten_document_is_not_registered(store, folders):
    """Its training went on while the document was forgotten, or its files are deleted already."""
    candidate = wait(store, folders[0])
    store.objects.delete(f"_candidates/{candidate.adapter_id}/adapter_model.safetensors")
    save_forgotten(store.objects, Forgotten("d2", ("hash",), ("a",), "2026-01-01T00:00:00+00:00", 7.0))
    assert register(store, candidate) == "rejected: trained on a forgotten document"
    assert active_adapter(store.objects, "a") is None
    assert keys(store, "adapters/") == []
    assert waiting_candidates(store) == []
