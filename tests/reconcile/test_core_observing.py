"""The API server's documents as parts of a snapshot."""

from datetime import UTC, datetime
from typing import Any

import pytest
from penstock.reconcile.observing import pod_of, report_of, workload_of
from penstock.world import ContainerRole

STARTED, FINISHED = "2026-11-24T06:00:01Z", "2026-11-24T06:00:09Z"
ENDED = {"exitCode": 1, "reason": "Error", "message": "why", "startedAt": STARTED, "finishedAt": FINISHED}
RUNNING = {"running": {"startedAt": STARTED}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


def pod(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "fraud-1-x",
            "uid": "u",
            "creationTimestamp": "2026-11-24T06:00:00Z",
            "labels": {"penstock.dev/revision": "fraud-1"},
        }
        | metadata,
        "spec": {
            "initContainers": [{"name": "fetch"}, {"name": "monitor", "restartPolicy": "Always"}],
            "containers": [{"name": "server"}],
        },
        "status": status or {},
    }


def container(**status: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "server", "restartCount": 0} | status]}


def test_a_pod_that_nothing_is_known_of() -> None:
    found = pod_of(pod())
    assert (found.phase, found.ready, found.address, found.node, found.disruption) == ("Pending", False, "", "", "")
    assert [(it.name, it.role) for it in found.containers] == [
        ("fetch", ContainerRole.INIT),
        ("monitor", ContainerRole.SIDECAR),
        ("server", ContainerRole.MAIN),
    ]
    assert not any(it.running or it.exits for it in found.containers)


def test_a_pod_that_takes_requests() -> None:
    found = pod_of(
        pod({"phase": "Running", "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]})
        | {"spec": {"nodeName": "n1", "containers": []}}
    )
    assert (found.ready, found.address, found.node, found.revision) == (True, "10.0.0.7", "n1", "fraud-1")
    assert found.created_at == datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
    assert not found.deleting
    assert pod_of(pod(deletionTimestamp=FINISHED)).deleting


@pytest.mark.parametrize(
    ("status", "exits", "code", "running"),
    [
        pytest.param({"state": RUNNING}, 0, None, True, id="running for the first time"),
        pytest.param({"state": {"terminated": ENDED}}, 1, 1, False, id="just ended"),
        pytest.param({"state": RUNNING, "lastState": {"terminated": ENDED}, "restartCount": 1}, 1, 1, True, id="again"),
        pytest.param(
            {"state": {"terminated": ENDED}, "lastState": {"terminated": ENDED}, "restartCount": 1}, 2, 1, False,
            id="ended again",
        ),
        pytest.param(
            {"state": BACK_OFF, "lastState": {"terminated": ENDED}, "restartCount": 1}, 2, 1, False, id="waiting",
        ),
        pytest.param(
            {"state": BACK_OFF, "lastState": {"terminated": ENDED}, "restartCount": 4}, 5, 1, False, id="waiting long",
        ),
    ],
)  # fmt: skip
def test_how_often_a_process_has_ended(status: dict[str, Any], exits: int, code: int | None, running: bool) -> None:
    (*_, server) = pod_of(pod(container(**status))).containers
    assert (server.exits, server.running) == (exits, running)
    assert (None if server.last_exit is None else server.last_exit.code) == code
    if server.last_exit is not None:
        assert server.last_exit.message == "why"
        assert server.last_exit.finished_at == datetime(2026, 11, 24, 6, 0, 9, tzinfo=UTC)


def test_why_a_container_waits() -> None:
    (*_, server) = pod_of(
        pod(container(state={"waiting": {"reason": "ErrImagePull", "message": "no host"}}))
    ).containers
    assert (server.waiting, server.waiting_message) == ("ErrImagePull", "no host")


@pytest.mark.parametrize(
    ("status", "disruption", "unschedulable"),
    [
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted", ""),
        ({"phase": "Running", "reason": "NodeLost"}, "NodeLost", ""),
        ({"phase": "Running", "reason": "Anything"}, "", ""),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]},
            "PreemptionByScheduler", "",
        ),
        ({"conditions": [{"type": "DisruptionTarget", "status": "False", "reason": "x"}]}, "", ""),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}]},
            "", "full",
        ),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}, "", ""),
    ],
)  # fmt: skip
def test_what_comes_from_outside(status: dict[str, Any], disruption: str, unschedulable: str) -> None:
    found = pod_of(pod(status))
    assert (found.disruption, found.unschedulable) == (disruption, unschedulable)


def workload(**status: Any) -> dict[str, Any]:
    labels = {"penstock.dev/revision": "fraud-1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "fraud-1", "generation": 3, "labels": labels},
        "spec": {"replicas": 4},
        "status": status,
    }


def test_a_deployment_and_its_pods() -> None:
    found = workload_of(workload(readyReplicas=2, updatedReplicas=4, observedGeneration=3))
    assert (found.revision, found.replicas, found.ready, found.updated, found.observed) == ("fraud-1", 4, 2, 4, True)
    assert not workload_of(workload(observedGeneration=2)).observed
    assert not workload_of(workload()).observed


def test_why_a_deployment_cannot_make_pods() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert workload_of(workload(conditions=[refused])).failure == "exceeded quota"
    assert workload_of(workload(conditions=[refused | {"status": "False"}])).failure == ""


def test_what_an_agent_says() -> None:
    state = {
        "tableProblem": None,
        "models": {
            "fraud": {"uid": "a", "epoch": 7, "live": True, "endpoints": {"stable": 2, "candidate": 1}},
            "spam": {"uid": "b", "epoch": 3, "live": False, "endpoints": {"stable": 2}},
            "alone": {"uid": "c", "epoch": 1, "live": True, "endpoints": {"stable": 1}},
        },
        "keptBack": {"spam": "port 20001 belongs to fraud"},
    }
    found = report_of("r-1", state)
    assert found.epochs == {"a": 7, "c": 1}
    assert found.candidates == {"a": 1, "c": 0}
    assert found.kept_back == {"spam": "port 20001 belongs to fraud"}
    assert found.table_problem == ""
