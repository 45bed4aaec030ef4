"""What a router has for one deployment, for its snapshot."""

from collections.abc import Mapping, Sequence

from penstock.api.conditions import ConditionType
from penstock.api.metadata import ObjectMeta
from penstock.api.reasons import Reason
from penstock.api.router import Router
from penstock.reconcile.table import entries_in
from penstock.router.routing import FULL_WEIGHT
from penstock.world import AgentReport, Live, Pod, RouteView


def route_view(
    deployment: ObjectMeta,
    router: Router | None,
    config_map: Live | None,
    pods: Sequence[Pod],
    reports: Sequence[AgentReport],
) -> RouteView:
    """The view of this deployment. Args: its metadata; the namespace's Router, the ConfigMap with its table, its pods,
    and what the agents of those pods say."""
    ready = [pod.name for pod in pods if pod.ready and not pod.deleting]
    problem, reason = _problem(deployment.name, router)
    found = entries_in(config_map).get(deployment.name)
    if found is None or found.uid != deployment.uid:
        return RouteView(ready_pods=len(ready), problem=problem, problem_reason=reason)
    return RouteView(
        port=found.port,
        epoch=found.epoch,
        weight=found.weight * 100 // FULL_WEIGHT,
        stable=found.stable,
        candidate=found.candidate,
        confirmed=_least(ready, {report.pod: report.epochs.get(deployment.uid) for report in reports}),
        reachable=_least(ready, {report.pod: report.candidates.get(deployment.uid) for report in reports}) or 0,
        ready_pods=len(ready),
        problem=problem,
        problem_reason=reason,
    )


def _least(pods: Sequence[str], told: Mapping[str, int | None]) -> int | None:
    """The least that any of the pods tells; None when there are none, or one does not tell."""
    numbers = [told.get(pod) for pod in pods]
    known = [number for number in numbers if number is not None]
    return min(known) if known and len(known) == len(numbers) else None


def _problem(name: str, router: Router | None) -> tuple[str, Reason | None]:
    """What the router's status says against this model; what keeps the router from working at all counts too."""
    if router is None:
        return "", None
    stalled = next((it for it in router.status.conditions if it.type is ConditionType.STALLED), None)
    message = next((model.message for model in router.status.unrendered if model.name == name), "")
    if message:
        exhausted = stalled is not None and stalled.reason is Reason.PORTS_EXHAUSTED
        return message, Reason.PORTS_EXHAUSTED if exhausted else Reason.MODEL_NOT_RENDERED
    if stalled is None or stalled.reason in (Reason.PORTS_EXHAUSTED, Reason.MODEL_NOT_RENDERED):
        return "", None
    return stalled.message, stalled.reason
