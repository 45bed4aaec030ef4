"""The operator on a real API server: what serves a model is stored whole, shown by kubectl, told once, and then left."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import audit, models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

NAMESPACE = "served"
QUIET_SECONDS = 5.0
WHY = "compiled predict is not scikit-learn's on a row of the kind 'reference': its label is another"
VERSIONS = {"scikitLearn": "1.9.1", "onnx": "1.23.2", "onnxruntime": "1.32.0", "numpy": "2.4.6"}
COMPARED = [{"method": "predict", "largestDifference": "0", "on": "reference", "ties": 2},
            {"method": "predict_proba", "largestDifference": "5.96e-08", "on": "at a split", "ties": 1}]  # fmt: skip
PROOF = {"rows": 4321, "compared": COMPARED, "versions": VERSIONS}
WORDS = {
    "served-compiled": json.dumps({"backend": "onnx", "proof": PROOF}),
    "served-fallback": json.dumps({"backend": "scikit-learn", "fallbackReason": WHY}),
    "served-foreign": "\x1b[31mdone\x07 " * 300,
    "served-silent": "",
}


@pytest.fixture(scope="module")
def served(bench):
    """Deployments by whose pods all of this is said; the name of each one's stable revision."""
    namespace = bench.admin.namespace(NAMESPACE)
    bench.kubelet.last_words.update(WORDS)
    for name in WORDS:
        bench.admin.apply(models.deployment(namespace, name))
    statuses = {
        name: models.until_phase(bench.admin, namespace, name, "Stable", log=bench.operator.tail) for name in WORDS
    }
    return {name: status["stable"]["revision"] for name, status in statuses.items()}


def test_the_record_holds_all_that_was_said(bench, served):
    records = {
        name: bench.admin.get("ModelRevision", NAMESPACE, revision)["record"].get("served")
        for name, revision in served.items()
    }
    assert records == {
        "served-compiled": {"backend": "onnx", "proof": PROOF},
        "served-fallback": {"backend": "scikit-learn", "fallbackReason": WHY},
        "served-foreign": {
            "backend": "unknown",
            "fallbackReason": "What its fetch container said when it was done is no JSON.",
        },
        "served-silent": None,
    }


def test_kubectl_shows_it(bench, served):
    place = (f"--namespace={NAMESPACE}",)
    described = bench.cluster.kubectl("describe", "modeldeployment", "served-fallback", *place)
    assert re.search(rf"Fallback Reason: +{re.escape(WHY)}\n", described)
    described = bench.cluster.kubectl("describe", "modelrevision", served["served-compiled"], *place)
    assert re.search(r"Largest Difference: +5.96e-08\n", described)
    listed = bench.cluster.kubectl("get", "modelrevisions", *place, "--no-headers")
    backends = {line.split()[1]: line.split()[-2] for line in listed.splitlines()}
    assert backends["served-compiled"] == "onnx"
    assert backends["served-fallback"] == "scikit-learn"
    explained = bench.cluster.kubectl("explain", "modelrevision.record.served.fallbackReason")
    assert "Why it is not the compiled form." in explained


def test_it_is_told_once_and_then_nobody_writes(bench, served):
    def told() -> list[tuple[str, str]]:
        events = bench.admin.items("Event", NAMESPACE)
        return sorted((it["regarding"]["name"], it["reason"]) for it in events if it["reason"].startswith("ServedBy"))

    wanted = [("served-compiled", "ServedByOnnx"), ("served-fallback", "ServedByScikitLearn")]
    until(lambda: told() == wanted, lambda: f"it is told: {told()}")

    until(
        lambda: bench.trail.rests(NAMESPACE, QUIET_SECONDS),
        lambda: f"the operator rests: {[audit.told(it) for it in bench.trail.writes(NAMESPACE)[-3:]]}",
        60,
    )
    assert told() == wanted
