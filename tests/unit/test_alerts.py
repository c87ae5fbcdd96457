"""The alert rules name metrics that are exported, and, where promtool is installed, do what their own tests say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lloco_core.distributed import metrics

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
COUNTERS = {*metrics.COUNTERS, *metrics.RECORD_COUNTERS, *metrics.GROUP_COUNTERS, "lloco_quarantined"}
EXPORTED = {f"ray_{name}_total" for name in COUNTERS} | {"ray_lloco_encoder_busy_ratio"}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_complete_and_asks_for_exported_metrics(name: str):
    rule = RULES[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "action"}
    assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
    asked = set(re.findall(r"ray_\w+", rule["expr"]))
    assert asked
    assert asked <= EXPORTED


def test_every_rule_is_tested():
    tests = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    fires = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fires == set(RULES)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)")
@pytest.mark.parametrize("command", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]])
def test_prometheus_accepts_the_rules(command: list[str]):
    done = subprocess.run(["promtool", *command], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
