"""A whole night on S3 and again, through Prefect, Ray, DeepSpeed, Lance, and the reference model."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from lloco_core.answer.ask import Asker
from lloco_core.config import NightlyConfig
from lloco_core.store.costs import store_costs
from lloco_core.store.events import shard_events
from lloco_core.store.read import open_night
from lloco_core.store.tables import Store
from tests.conftest import BUCKET, S3_SECRET
from tests.flows.conftest import small_night


def _objects(client: Any, bucket: str) -> dict[str, bytes]:
    keys = [item["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket) for item in page.get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_a_night_on_s3_and_the_same_night_again(prefect_server, open_ray, corpus, s3, caplog):
    from flows.nightly import nightly

    bucket = BUCKET
    for path in sorted(corpus.rglob("*.txt")):
        s3.put_object(Bucket=bucket, Key=f"texts/{path.relative_to(corpus).as_posix()}", Body=path.read_bytes())
    config = NightlyConfig.model_validate(small_night(f"s3://{bucket}/texts", f"s3://{bucket}/store"))
    priced = config.cluster.model_copy(update={"gpu_hour_price": 2.5, "currency": "EUR"})
    config = config.model_copy(update={"cluster": priced})

    first = nightly(config)

    night = open_night(config.store.uri)
    assert night.groups() == {"statements": 6, "types": 5}
    assert (first.totals.n_documents, first.n_quarantined) == (11, 0)
    assert first.n_vectors == 50 * first.totals.n_segments == 50 * sum(document.n_segments for document in night.documents())
    assert sorted(outcome.verdict for outcome in first.adapters) == ["registered", "registered"]
    stored = _objects(s3, bucket)
    for outcome in first.adapters:
        manifest = json.loads(stored[f"store/adapters/{outcome.adapter_id}/manifest.json"])
        assert manifest["group"] == outcome.group
        assert set(manifest["documents"]) == {document.doc_id for document in night.documents(outcome.group)}
    assert len(first.examples) == 2
    leaks = [key for key, data in stored.items() if S3_SECRET.encode() in data]
    assert leaks == []
    costs = store_costs(config.store.uri)
    assert costs.as_json() == first.as_json()["costs"]
    assert sorted(costs.groups) == ["statements", "types"]
    assert costs.total.encoded_tokens == first.totals.n_encoded_tokens
    assert all(cost.encoder_microseconds and cost.training_microseconds and cost.money["EUR"] for cost in costs.groups.values())
    assert len(shard_events(Store(config.store.uri).objects, first.run_id)) == first.totals.n_shards

    answer = Asker(config.store.uri).ask("Complete: It is useful as a placeholder")
    assert answer.group == "statements"
    assert answer.adapter_id in {outcome.adapter_id for outcome in first.adapters}
    assert answer.sources[0].uri == f"s3://{bucket}/texts/statements/pass.txt"
    assert "placeholder" in answer.sources[0].quote

    log = logging.getLogger("prefect.flow_runs")  # does not propagate
    log.addHandler(caplog.handler)
    again = nightly(config)
    log.removeHandler(caplog.handler)

    assert "nothing to encode: 11 of 11 objects are stored" in caplog.text
    assert not again.plan.shards
    assert (again.plan.n_objects, again.plan.n_unchanged) == (11, 11)
    assert again.totals.n_tokens == 0
    assert again.costs.groups == {}
    assert again.night == first.night
    assert [outcome.verdict for outcome in again.adapters] == ["unchanged", "unchanged"]
    shard_rows = Store(config.store.uri).dataset("ledger").count_rows(filter="entry = 'shard'")
    assert shard_rows == len(first.plan.shards)
    assert again.plan.describe() == "11 of 11 objects are stored with this encoder, 0 documents in quarantine; 0 shards, 0.0 MB to read"
    assert S3_SECRET not in json.dumps(again.as_json())
