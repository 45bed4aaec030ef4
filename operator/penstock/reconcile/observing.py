"""The API server's documents as parts of a snapshot. Pure; what a document leaves out has its zero value."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from penstock.api.names import LABEL_REVISION
from penstock.world import AgentReport, Container, ContainerRole, Exit, Live, Manifest, Pod, Workload

_FAILED_PHASE = "Failed"


def workload_of(document: Manifest) -> Workload:
    """A Deployment (apps/v1)."""
    live = Live(document)
    spec, status = _part(document, "spec"), _part(document, "status")
    failures = [c for c in status.get("conditions") or () if c["type"] == "ReplicaFailure" and c["status"] == "True"]
    return Workload(
        live=live,
        revision=_labels(document).get(LABEL_REVISION, ""),
        replicas=int(spec.get("replicas", 1)),
        ready=int(status.get("readyReplicas") or 0),
        updated=int(status.get("updatedReplicas") or 0),
        observed=int(status.get("observedGeneration") or 0) >= int(live.metadata.get("generation") or 0),
        failure=str(failures[0].get("message", "")) if failures else "",
    )


def pod_of(document: Manifest) -> Pod:
    """A pod."""
    live = Live(document)
    spec, status = _part(document, "spec"), _part(document, "status")
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    return Pod(
        name=live.name,
        uid=live.uid,
        revision=_labels(document).get(LABEL_REVISION, ""),
        address=str(status.get("podIP") or ""),
        phase=str(status.get("phase") or "Pending"),
        ready=_holds(conditions, "Ready"),
        deleting=live.deleting,
        created_at=_time(live.metadata["creationTimestamp"]),
        node=str(spec.get("nodeName") or ""),
        unschedulable=_unschedulable(conditions),
        disruption=_disruption(status, conditions),
        containers=tuple(_containers(spec, status)),
    )


def report_of(pod: str, state: Manifest) -> AgentReport:
    """What the agent of a router pod answers to /state."""
    models = [model for model in _part(state, "models").values() if model.get("live")]
    return AgentReport(
        pod=pod,
        epochs={str(model["uid"]): int(model["epoch"]) for model in models},
        candidates={str(model["uid"]): int(model["endpoints"].get("candidate", 0)) for model in models},
        kept_back={str(name): str(why) for name, why in _part(state, "keptBack").items()},
        table_problem=str(state.get("tableProblem") or ""),
    )


def _unschedulable(conditions: Mapping[str, Manifest]) -> str:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return str(scheduled.get("message") or "no node fits")
    return ""


def _disruption(status: Manifest, conditions: Mapping[str, Manifest]) -> str:
    """The scheduler, the kubelet and eviction say so by a condition of their own; a kubelet that gave a pod up without
    one still names a reason beside the phase."""
    target = conditions.get("DisruptionTarget", {})
    if target.get("status") == "True":
        return str(target.get("reason") or "Disrupted")
    gone = status.get("phase") == _FAILED_PHASE or status.get("reason") == "NodeLost"
    return str(status.get("reason") or "") if gone else ""


def _containers(spec: Manifest, status: Manifest) -> Iterable[Container]:
    states = {
        state["name"]: state
        for field in ("initContainerStatuses", "containerStatuses")
        for state in status.get(field) or ()
    }
    for declared in spec.get("initContainers") or ():
        role = ContainerRole.SIDECAR if declared.get("restartPolicy") == "Always" else ContainerRole.INIT
        yield _container(declared["name"], role, states.get(declared["name"], {}))
    for declared in spec.get("containers") or ():
        yield _container(declared["name"], ContainerRole.MAIN, states.get(declared["name"], {}))


def _container(name: str, role: ContainerRole, status: Manifest) -> Container:
    """`restartCount` counts starts after the first, so a process that lies ended has ended once more than that."""
    state = _part(status, "state")
    waiting = _part(state, "waiting")
    running = "running" in state
    last = state.get("terminated") or _part(status, "lastState").get("terminated")
    return Container(
        name=name,
        role=role,
        running=running,
        waiting=str(waiting.get("reason") or ""),
        waiting_message=str(waiting.get("message") or ""),
        exits=int(status.get("restartCount") or 0) + (1 if last and not running else 0),
        last_exit=_exit(last) if last else None,
    )


def _exit(state: Manifest) -> Exit:
    return Exit(
        code=int(state.get("exitCode", 0)),
        reason=str(state.get("reason") or ""),
        message=str(state.get("message") or ""),
        started_at=_time_or_none(state.get("startedAt")),
        finished_at=_time_or_none(state.get("finishedAt")),
    )


def _holds(conditions: Mapping[str, Manifest], name: str) -> bool:
    return bool(conditions.get(name, {}).get("status") == "True")


def _labels(document: Manifest) -> Mapping[str, str]:
    found: Mapping[str, str] = _part(document, "metadata").get("labels") or {}
    return found


def _part(document: Manifest, field: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document.get(field) or {}
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time_or_none(text: str | None) -> datetime | None:
    return None if not text else _time(text)
