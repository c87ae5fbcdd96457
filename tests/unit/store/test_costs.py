"""Costs: groups add up to the total exactly, prices are those of the runs, `lloco costs` shows them."""

import json
import random
from datetime import UTC, datetime
from fractions import Fraction

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from lloco_core.cli import app
from lloco_core.config import ClusterConfig, NightlyConfig
from lloco_core.distributed.ingest import IngestTotals
from lloco_core.errors import StorageError
from lloco_core.observe.cost import NO_GROUP, GroupCosts, Price, split
from lloco_core.observe.report import AdapterOutcome, RunReport
from lloco_core.store.costs import store_costs
from lloco_core.store.nights import publish_night
from lloco_core.store.runs import save_config
from lloco_core.store.schema import ADAPTERS
from tests.unit.observe.test_busy import nothing_planned
from tests.unit.store.fixtures import document, ingest, shard, write

LONG = "one two three four five six seven eight nine"
PRICE = Price.of(ClusterConfig(gpu_hour_price=3.6, currency="EUR"))


@pytest.fixture
def store_uri(tmp_path):
    """A folder only: nothing here depends on where the tables lie."""
    return str(tmp_path / "store")


def test_parts_add_up_to_the_whole_whatever_the_weights_are():
    chance = random.Random(4)
    for _ in range(500):
        weights = {str(number): chance.choice([0, 1, 7, chance.randrange(10**12)]) for number in range(chance.randint(1, 9))}
        amount = chance.randrange(10**9)
        parts = split(amount, weights)
        assert sum(parts.values()) == amount
        total = sum(weights.values())
        assert all(abs(Fraction(parts[name]) - Fraction(amount * weight, total)) < 1 for name, weight in weights.items() if total)
    assert split(7, {"b": 0, "a": 0}) == {"b": 3, "a": 4}


def test_groups_of_many_shards_add_up_to_the_total():
    chance, costs, seconds = random.Random(5), GroupCosts(), []
    for _ in range(300):
        tokens = {group: chance.randrange(1, 10**6) for group in "abcdefg" if chance.random() < 0.5}
        seconds.append(round(chance.random() * 100, 6))
        costs.charge_shard(tokens, seconds[-1], PRICE)
    costs.charge_training("a", 0.1, PRICE)
    groups = costs.groups.values()
    assert sum(cost.encoder_microseconds for cost in groups) == costs.total.encoder_microseconds == sum(round(s * 10**6) for s in seconds)
    assert sum(cost.money["EUR"] for cost in groups) == costs.total.money["EUR"] == PRICE.cost(costs.total.encoder_microseconds + 100_000)
    assert sum(cost.encoded_tokens for cost in groups) == costs.total.encoded_tokens


def test_a_shard_none_of_whose_documents_could_be_encoded_still_costs():
    costs = GroupCosts()
    costs.charge_shard({}, 2.0, PRICE)
    costs.charge_shard({}, 0.0, PRICE)
    assert {group: cost.encoder_microseconds for group, cost in costs.groups.items()} == {NO_GROUP: 2_000_000}
    assert costs.total.per_million_tokens() == {}


def configure(store, run_id, **cluster):
    save_config(store.objects, run_id, NightlyConfig(corpus={"uri": "/corpus"}, store={"uri": store.root}, cluster=cluster))


@pytest.fixture
def nights(store):
    """Three nights: without a price, for euros, for dollars with an adapter of two workers."""
    configure(store, "run-1")
    ingest(store, shard("p1", 0, [document("a/1.txt", LONG), document("b/1.txt", "one two three", group="b")]))
    publish_night(store, "run-1")
    configure(store, "run-2", gpu_hour_price=3600, currency="EUR")
    ingest(store, shard("p2", 0, [document("a/2.txt", "one two three four")]), run_id="run-2")
    publish_night(store, "run-2")
    configure(store, "run-3", gpu_hour_price=36, currency="USD", train_workers=2)
    ingest(store, shard("p3", 0, [document("b/3.txt", "one two", group="b")]), run_id="run-3")
    publish_night(store, "run-3")
    names = {"adapter_id": "b--1", "group_id": "b", "night": "run-3", "encoder_fingerprint": "e", "status": "rejected"}
    row = names | {"metrics": json.dumps({"seconds": 5.0}), "created_at": datetime.now(UTC)}
    store.dataset("adapters").insert(pa.Table.from_pylist([row], schema=ADAPTERS))
    return store


def test_costs_of_a_store_follow_its_ledger_adapters_and_prices(nights):
    costs = store_costs(nights.root)
    seconds = {name: (cost.encoded_tokens, cost.encoder_microseconds, cost.training_microseconds) for name, cost in costs.groups.items()}
    assert seconds == {"a": (13, 375_000 + 500_000, 0), "b": (5, 125_000 + 500_000, 10_000_000)}
    assert costs.groups["a"].money == {"EUR": Fraction(1, 2)}
    assert costs.groups["b"].money == {"USD": Fraction(105, 1000)}
    assert costs.total.money == {"EUR": Fraction(1, 2), "USD": Fraction(105, 1000)}
    assert costs.total.unpriced_microseconds == 500_000


def test_costs_since_a_night_count_it_and_later_ones(nights):
    assert store_costs(nights.root, "run-1").as_json() == store_costs(nights.root).as_json()
    assert store_costs(nights.root, "run-2").total.encoded_tokens == 6
    since = store_costs(nights.root, "run-3")
    assert (list(since.groups), since.total.encoder_microseconds, since.total.training_microseconds) == (["b"], 500_000, 10_000_000)
    with pytest.raises(StorageError, match=r"no night 'run-9'; `lloco status` lists them"):
        store_costs(nights.root, "run-9")


def test_the_command_shows_a_table_and_json(nights):
    shown = CliRunner().invoke(app, ["costs", "--store", nights.root, "--since", "run-2"])
    assert shown.exit_code == 0, shown.output
    [total] = [line.split("│") for line in shown.output.splitlines() if line.strip().startswith("total")]
    assert [cell.strip() for cell in total] == ["total", "6", "1.0", "10.0", "0.5000 EUR + 0.1050 USD", "83,333.3333 EUR + 17,500.0000 USD"]
    found = json.loads(CliRunner().invoke(app, ["costs", "--store", nights.root, "--json"]).output)
    assert found["total"]["money"] == {"EUR": 0.5, "USD": 0.105}
    assert found["groups"]["a"]["money_per_million_tokens"] == {"EUR": round(0.5e6 / 13, 6)}
    assert "0.5 s are of runs without cluster.gpu_hour_price" in CliRunner().invoke(app, ["costs", "--store", nights.root]).output


def test_the_report_prices_what_the_run_did(store):
    totals = IngestTotals()
    totals.add(write(store, shard("p1", 0, [document("a/1.txt", LONG), document("b/1.txt", "one two three", group="b")])))
    config = NightlyConfig(corpus={"uri": "x"}, store={"uri": "y"}, cluster={"gpu_hour_price": 7200, "currency": "EUR"})
    report = RunReport.start(config)
    report.plan, report.totals = nothing_planned(), totals
    report.adapters = [AdapterOutcome("b", "b--1", "registered", seconds=1.5)]
    line = "4.0000 EUR for 0.5 s of encoding and 1.5 s of training, 333,333.3333 EUR per million encoded tokens"
    assert dict(report.facts())["cost"] == line
    assert report.as_json()["costs"]["groups"]["b"]["money"] == {"EUR": 0.125 * 2 + 3}
    report.config = config.model_copy(update={"cluster": ClusterConfig()})
    assert "cost" not in dict(report.facts())
    assert report.as_json()["costs"]["total"]["unpriced_seconds"] == 2.0
