"""The alerts for Prometheus, tested with promtool."""

import os
import re
import shutil
import subprocess

import pytest

from relay import DEADLINE, ROOT

RULES = ROOT / "etc/prometheus/alerts.yaml"
CASES = ROOT / "Tests/Alerts/alerts.test.yaml"


@pytest.fixture(scope="module")
def promtool():
    beside = ROOT / ".venv/bin/promtool"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: make deps-test extracts it from Debian's package prometheus")

    def run(*arguments):
        result = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=DEADLINE)
        assert result.returncode == 0, result.stdout + result.stderr

    return run


def test_promtool_accepts_the_alert_rules(promtool):
    promtool("check", "rules", str(RULES))


def test_each_alert_fires_when_it_should(promtool):
    promtool("test", "rules", str(CASES))


def test_each_alert_has_a_firing_and_a_silent_case():
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert len(alerts) >= 12
    expectations = re.findall(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:( \[\])?", CASES.read_text())
    assert {name for name, none in expectations if none} == alerts
    assert {name for name, none in expectations if not none} == alerts
