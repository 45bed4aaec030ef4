"""The operator on a real API server: releases judged by ledgers that real routers recorded."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]


@pytest.fixture(scope="module")
def promoted(bench):
    """A model whose second version was promoted on evidence, its status blanked on the way."""
    admin, namespace = bench.admin, bench.admin.namespace("releases")
    admin.apply(models.deployment(namespace, "fraud"))
    first = models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    bench.agents.behaviours[namespace] = {"fraud": "healthy"}
    admin.apply(models.deployment(namespace, "fraud", 2))
    until(
        lambda: bench.operator.evidence(namespace, "fraud").get("requests", {}).get("candidate", 0) > 0,
        lambda: f"requests of the candidate are judged\n{bench.operator.tail()}",
    )
    before = models.status(admin, namespace, "fraud")
    admin.merge("ModelDeployment", namespace, "fraud", {"status": None}, "status")
    after = until(lambda: (s := models.status(admin, namespace, "fraud")).get("candidate") and s, "the status is back")
    assert after["candidate"]["revision"] == before["candidate"]["revision"]
    assert after["candidate"]["weight"] >= before["candidate"]["weight"] > 0
    assert after["epoch"] >= before["epoch"]
    return namespace, first, models.until_phase(admin, namespace, "fraud", "Watching", log=bench.operator.tail)


def test_a_healthy_candidate_is_promoted_step_by_step_though_its_status_was_blanked(bench, promoted):
    namespace, first, status = promoted
    assert models.condition(status, "Ready") == ("True", "Watching")
    assert models.condition(status, "Released") == ("True", "HarmExcluded")
    assert status["stable"]["revision"] != first["stable"]["revision"]
    assert [(row["outcome"], row["reason"]) for row in status["history"]] == [
        ("Promoted", "HarmExcluded"),
        ("Promoted", "Promoted"),
    ]
    for row in status["evidence"]:
        assert float(row["logEvaluePromotion"]) >= float(row["thresholdPromotion"])
        assert row["candidate"]["requests"] > 100
    splits = bench.agents.history[namespace, "fraud"]
    assert [split.weight for split in splits if split.candidate == status["stable"]["revision"]] == [0, 10, 50]
    assert [split.epoch for split in splits] == sorted({split.epoch for split in splits})


def test_a_failing_candidate_is_taken_back_within_seconds_of_its_first_traffic(bench, promoted):
    admin, (namespace, _, stable) = bench.admin, promoted
    bench.agents.behaviours[namespace] = {"fraud": "failing"}
    admin.apply(models.deployment(namespace, "fraud", 3))
    until(lambda: models.table(admin, namespace)["fraud"]["arms"][0]["weight"] == 1000, "the candidate gets traffic")
    began = time.monotonic()
    until(
        lambda: [arm["role"] for arm in models.table(admin, namespace)["fraud"]["arms"]] == ["stable"],
        "the candidate is out of the table",
    )
    took = time.monotonic() - began
    status = models.until_phase(admin, namespace, "fraud", "RolledBack", log=bench.operator.tail)
    assert took < 5.0, f"{took:.1f} s from the first traffic on\n{bench.operator.tail()}"
    assert models.condition(status, "Ready") == ("False", "Worse")
    assert models.condition(status, "Available")[0] == "True"
    assert status["stable"] == stable["stable"]
    assert status["history"][0]["outcome"] == "RolledBack"
    failed = next(row for row in status["evidence"] if row["name"] == "failed")
    assert float(failed["logEvalue"]) > float(failed["threshold"])


def test_each_transition_is_told_once_and_evidence_is_written_only_with_one(bench, promoted):
    namespace = promoted[0]
    told = [(event["reason"], event["note"]) for event in bench.admin.items("Event", namespace)
            if event["regarding"].get("kind") == "ModelDeployment"]  # fmt: skip
    assert len(told) == len(set(told))
    assert {"Promoted", "HarmExcluded", "Releasing"} <= {reason for reason, _ in told}


def test_metrics_tell_decisions_and_forget_what_is_no_longer_judged(bench, promoted):
    until(lambda: bench.operator.ask("/evidence/releases/fraud")[0] == 404, "what is over is not followed")
    status, text = bench.operator.ask("/metrics")
    assert status == 200
    assert 'penstock_decisions_total{decision="Promote",reason="HarmExcluded"}' in text
    assert 'penstock_passes_total{kind="ModelDeployment",outcome="Done"}' in text
    assert "penstock_release_log_evalue{" not in text
    assert 'outcome="Fault"' not in text
    assert bench.operator.ask("/healthz") == (200, "ok\n")
