"""The whole story on a real node, through Envoy: the demo, then its cluster under kills, without an operator, at rest."""

import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from penstock.api.names import COMPONENT_SERVER, LABEL_COMPONENT, LABEL_DEPLOYMENT
from penstock_serving.model.frame import matrix

sys.path.insert(0, str(Path(__file__).parent))

from story_bench import audit, packages
from story_bench.processes import process_of
from story_bench.story import NAMESPACE, OPERATOR_NAMESPACE, ROUTERS, told, until
from story_bench.traffic import Callers, ledger, router_pods

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("story"), pytest.mark.timeout(1200)]

QUIET_SECONDS = float(os.environ.get("PENSTOCK_QUIET_SECONDS", "20"))
SETTLE_SECONDS = 120.0
"""Within so long after its last cause everything is written that will be."""

WHEELS = Path(__file__).parents[2] / "serving" / "native" / "wheels"

KILLS = 4
SEED = 20261124
STEPS = [{"weight": weight, "minRequests": 30} for weight in (5, 10, 20, 30, 40, 50, 60, 75)]

FATES = {"v2": "promoted", "v3": "rolledBack", "v4": "rolledBack", "v5": "rolledBack", "v6": "stalled"}


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    with told(tmp_path_factory.mktemp("story")) as told_story:
        yield told_story


@pytest.fixture(scope="module")
def second(story):
    """A model beside the demo's, with its first version in service."""
    story.apply(story.deployment("second", "v1", STEPS))
    story.until_ready("second")
    return "second"


@pytest.fixture
def without_operator(story):
    """Nobody but the routers and the models, for the time of a test."""
    scale = ("scale", "deployment/penstock-operator", "-n", OPERATOR_NAMESPACE)
    story.cluster.kubectl(*scale, "--replicas=0")
    until(lambda: not story.items("pods", namespace=OPERATOR_NAMESPACE), 60, "the operator is gone")
    yield
    story.cluster.kubectl(*scale, "--replicas=1")
    place = ("-n", OPERATOR_NAMESPACE, "--timeout=120s")
    story.cluster.kubectl("rollout", "status", "deployment/penstock-operator", *place)


def test_the_demo_says_of_every_version_what_became_of_it(story):
    assert story.code == 0, story.lines[-20:]
    outcomes = json.loads(story.lines[-1])
    assert {name: outcome["verdict"] for name, outcome in outcomes.items()} == FATES
    assert {name: outcome["callerFailures"] for name, outcome in outcomes.items()} == dict.fromkeys(FATES, 0)
    for name in ("v3", "v4", "v5"):
        assert outcomes[name]["badAnswers"] > 0
        assert outcomes[name]["seconds"] > 0.0
    assert outcomes["v2"]["badAnswers"] == outcomes["v6"]["badAnswers"] == 0


def test_the_demo_leaves_its_cluster_up_and_says_how_to_go_on(story):
    told_last = "\n".join(story.lines[-8:])
    for command in ("python3 -m localcluster env", "kubectl get modeldeployments", "make demo-down"):
        assert command in told_last
    assert story.status("tumour")["stable"]["revision"].startswith("tumour-")


def test_an_ended_release_is_told_and_stays_rejected(story):
    # A candidate that never started is no release that ended.
    outcomes = [row["outcome"] for row in story.status("tumour")["history"]]
    assert outcomes == ["RolledBack"] * 3 + ["Promoted"] * 2
    roles = [revision["record"].get("role") for revision in story.items("modelrevisions")]
    assert roles.count("Rejected") == 3


def test_a_release_comes_to_the_same_end_through_kills_of_operator_and_agents(story, second):
    chance = random.Random(SEED)
    callers = Callers(story, "counted", second)
    story.apply(story.deployment(second, "v2", STEPS))
    until(lambda: story.status(second).get("candidate", {}).get("weight"), 120, "the candidate gets traffic")
    killed = []
    for _ in range(KILLS):
        until(lambda: operator_is_ready(story), 120, "the operator is back")
        time.sleep(chance.uniform(0.0, 2.0))
        weight = story.status(second).get("candidate", {}).get("weight")
        assert weight, f"the release ended before the kills did: {killed}"
        killed.append(weight)
        kill(story, OPERATOR_NAMESPACE, "penstock-operator", "penstock.main")
        kill(story, NAMESPACE, chance.choice(router_pods(story)), "penstock.router", "agent")
    until(lambda: len(story.status(second)["history"]) > 1, 240, "the release ends")
    assert [row["outcome"] for row in story.status(second)["history"]] == ["Promoted", "Promoted"]

    counted = callers.end()
    assert dict(counted.failures) == {}
    until(lambda: assigned(story, second) >= counted.requests, 30, "the routers have counted every request")
    assert assigned(story, second) == counted.requests

    weights = {}
    for row in ledger(story, second):
        if row["arm"] == "candidate":
            weights.setdefault(row["version"], row["weight"])
    assert [weights[version] for version in sorted(weights)] == [step["weight"] for step in STEPS]


def test_traffic_goes_on_without_the_operator_and_through_new_router_pods(story, without_operator):
    callers = Callers(story, "alone", "tumour")
    old = router_pods(story)
    for pod in old:
        story.cluster.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--timeout=90s")
        until(lambda: routers_are_ready(story), 90, "two routers are ready")
    assert not set(old) & set(router_pods(story))
    before = callers.so_far().requests
    until(lambda: callers.so_far().requests > before + 100, 30, "the new routers answer")
    assert dict(callers.end().failures) == {}


def test_after_convergence_nobody_writes(story, second):
    """Three deployments under traffic: one promoted, one back at its stable revision, one new."""
    story.apply(story.deployment("third", "v1", STEPS))
    for name, version in (("third", "v1"), ("tumour", "v2")):
        story.apply(story.deployment(name, version, STEPS))
        until(lambda name=name: is_current(story, name), 120, f"{name} is ready")
    moments, deadline = [audit.writes(story)], time.monotonic() + SETTLE_SECONDS
    while True:
        until_then = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < until_then:
            time.sleep(1.0)
        moments.append(audit.writes(story))
        if moments[-2] == moments[-1]:
            break
        assert time.monotonic() < deadline, moments[-1][len(moments[-2]) :]
    assert len(story.items("modeldeployments")) == 3


@pytest.fixture(scope="module")
def iris(story, tmp_path_factory):
    """A model that compiles and one whose proof fails, each in service, by name."""
    made = packages.publish(story, tmp_path_factory.mktemp("iris"))
    story.apply(*map(packages.deployment, made.values()))
    for name in made:
        story.until_ready(name)
    return made


@pytest.mark.parametrize(("name", "tolerance"), [("compiled", 1e-5), ("fallback", 1e-12)])
def test_a_compiled_and_a_fallback_model_answer_as_scikit_learn_does(story, iris, name, tolerance):
    rows = matrix(dict(zip(packages.COLUMNS, packages.MILLIMETRES.T, strict=True)))
    answers = packages.answers(story, name)
    np.testing.assert_array_equal(answers["predict"], iris[name].model.predict(rows))
    np.testing.assert_allclose(answers["predict_proba"], iris[name].model.predict_proba(rows), rtol=0, atol=tolerance)


def test_a_compiled_model_is_answered_natively_where_make_built_the_lane(story, iris):
    place = ("-l", f"{LABEL_DEPLOYMENT}=compiled,{LABEL_COMPONENT}={COMPONENT_SERVER}", "-n", NAMESPACE, "-c", "server")
    way = "natively" if list(WHEELS.glob("*.whl")) else "in Python (penstock_lane cannot be imported"
    assert f"serving by onnx {way}" in story.cluster.kubectl("logs", *place)


def test_callers_by_grpc_get_the_same_and_are_counted(story, iris):
    before = assigned(story, "compiled")
    asked, told = packages.answers(story, "compiled"), packages.grpc_answers(story, "compiled")
    for name in ("predict", "predict_proba"):
        np.testing.assert_array_equal(told[name], asked[name])
    until(lambda: assigned(story, "compiled") >= before + 2, 30, "the routers have counted both")


def test_kubectl_says_what_serves_and_why_it_is_not_the_compiled_form(story, iris):
    why = "compiled predict_proba is not scikit-learn's on a row of the kind 'reference': its score differs by 0.667"
    found = described(story, "modeldeployment", "fallback")
    assert re.search(r"Backend: +scikit-learn\n", found)
    assert re.search(rf"Fallback Reason: +{re.escape(why)}\n", found)
    assert re.search(rf"Normal +ServedByScikitLearn .*{re.escape(why)}", found)
    revision = story.status("fallback")["stable"]["revision"]
    assert re.search(rf"Fallback Reason: +{re.escape(why)}\n", described(story, "modelrevision", revision))
    assert why in packages.metadata(story, "fallback")


def test_kubectl_shows_the_proof_of_a_compiled_model_its_versions_and_the_measured_difference(story, iris):
    found = described(story, "modeldeployment", "compiled")
    assert re.search(r"Backend: +onnx\n", found)
    assert "Fallback Reason" not in found
    assert re.search(r"Normal +ServedByOnnx ", found)
    proof = described(story, "modelrevision", story.status("compiled")["stable"]["revision"])
    differences = [float(text) for text in re.findall(r"Largest Difference: +(\S+)\n", proof)]
    assert len(differences) >= 2
    assert max(differences) < 1e-5
    (rows,) = re.findall(r"Rows: +(\d+)\n", proof)
    assert int(rows) > 100
    said = packages.metadata(story, "compiled")
    for name in ("Scikit Learn", "Onnx", "Onnxruntime", "Numpy"):
        (version,) = re.findall(rf" {name}: +(\d\S+)\n", proof)
        assert version in said


def test_what_serves_a_model_is_told_once(story, iris):
    told = [
        (event["regarding"]["name"], event["reason"], event.get("deprecatedCount", 1))
        for event in story.items("events.events.k8s.io")
        if event["reason"].startswith("ServedBy") and event["regarding"]["name"] in iris
    ]
    assert sorted(told) == [("compiled", "ServedByOnnx", 1), ("fallback", "ServedByScikitLearn", 1)]


def described(story, kind, name):
    return story.cluster.kubectl("describe", kind, name, "-n", NAMESPACE)


def test_every_container_of_ours_runs_where_restricted_is_enforced(story):
    ran = set()
    for namespace in (NAMESPACE, OPERATOR_NAMESPACE):
        place = json.loads(story.cluster.kubectl("get", "namespace", namespace, "-o", "json"))
        assert place["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        for pod in story.items("pods", namespace=namespace):
            ran |= {container["name"] for container in containers(pod)}
    assert {"operator", "agent", "envoy", "server", "monitor", "fetch"} <= ran


def test_nobody_asks_for_what_is_not_granted(story):
    assert len(audit.users(story)) == 2
    assert audit.denials(story) == []


def containers(pod):
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def operator_is_ready(story):
    pods = story.items("pods", namespace=OPERATOR_NAMESPACE)
    return bool(pods) and all(status["ready"] for pod in pods for status in pod["status"].get("containerStatuses", ()))


def routers_are_ready(story):
    pods = [pod for pod in story.items("pods", "-l", ROUTERS) if "deletionTimestamp" not in pod["metadata"]]
    ready = [{c["type"]: c["status"] for c in pod["status"].get("conditions", ())}.get("Ready") for pod in pods]
    return ready == ["True", "True"]


def is_current(story, name):
    found = story.get("modeldeployment", name)
    status = found.get("status", {})
    ready = {c["type"]: c["status"] for c in status.get("conditions", ())}.get("Ready")
    return ready == "True" and status["observedGeneration"] == found["metadata"]["generation"]


def kill(story, namespace, name, *words):
    """SIGKILL to the process of the pod whose name begins so; it must be another one that does its work afterwards."""
    pod = next(pod for pod in story.items("pods", namespace=namespace) if pod["metadata"]["name"].startswith(name))
    process = process_of(pod, *words)
    assert process is not None, f"no process {words} runs in {pod['metadata']['name']}"
    os.kill(process, signal.SIGKILL)
    until(lambda: process_of(pod, *words) not in (None, process), 90, f"{words} runs again")


def assigned(story, model):
    """Requests that the routers have counted."""
    return sum(row["requests"] for row in ledger(story, model))
