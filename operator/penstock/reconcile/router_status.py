"""The status of a Router: a view of its pods and of what its agents say."""

from penstock.api.conditions import ConditionStatus, ConditionType
from penstock.api.names import FIRST_MODEL_PORT, LAST_MODEL_PORT, router_name
from penstock.api.reasons import Reason
from penstock.api.references import Label
from penstock.api.router import Router, RouterStatus, UnrenderedModel
from penstock.reconcile.conditions import condition
from penstock.reconcile.decide import whole_second
from penstock.reconcile.owning import Estate, Standing
from penstock.rollout.trouble import Cure, Trouble, trouble_of
from penstock.world import RouterWorld

_MOST_NAMED = 20


def router_status(
    world: RouterWorld, router: Router, estate: Estate, models: int, without_port: tuple[str, ...]
) -> RouterStatus:
    """The status as it should be."""
    trouble = _trouble(world, router, estate, without_port)
    generation = router.metadata.generation
    reason = Reason.ROUTING if trouble is None else trouble.reason
    message = f"Models routed: {models}." if trouble is None else trouble.message
    stalled = trouble is not None and trouble.cure is Cure.PERSON
    states = [(ConditionType.READY, _ready(trouble))]
    if trouble is not None:
        states.append((ConditionType.STALLED if stalled else ConditionType.RECONCILING, ConditionStatus.TRUE))
    return RouterStatus(
        observed_generation=generation,
        message=message,
        replicas=0 if world.workload is None else world.workload.replicas,
        ready_replicas=0 if world.workload is None else world.workload.ready,
        models=models,
        unrendered=_unrendered(world, without_port),
        conditions=tuple(
            condition(kind, state, reason, message, generation, router.status.conditions, whole_second(world.now))
            for kind, state in states
        ),
    )


def needs_writing(world: RouterWorld, before: RouterStatus, after: RouterStatus) -> bool:
    """Whether the status says something new."""
    return after != before and not (world.namespace_terminating)


def _ready(trouble: Trouble | None) -> ConditionStatus:
    if trouble is None:
        return ConditionStatus.TRUE
    return ConditionStatus.FALSE if trouble.cure is Cure.PERSON else ConditionStatus.UNKNOWN


def _trouble(world: RouterWorld, router: Router, estate: Estate, without_port: tuple[str, ...]) -> Trouble | None:
    """What keeps the router from doing all that it should; None when nothing does."""
    if world.obstacle is not None:
        return Trouble(world.obstacle.reason, world.obstacle.message, Cure.PERSON)
    if not world.models and not world.unreadable:
        return None
    foreign = next((live for live in world.objects if estate.standing(live.kind, live.name) is Standing.FOREIGN), None)
    if foreign is not None:
        return Trouble(
            Reason.NAME_TAKEN,
            f"There is a {foreign.kind} {foreign.name} that does not belong to this Router: remove it.",
            Cure.PERSON,
        )
    workload = world.workload
    if workload is None or not workload.observed or workload.ready < workload.replicas:
        return _not_ready(world, router)
    problem = next((report.table_problem for report in world.reports if report.table_problem), "")
    if problem:
        return Trouble(Reason.UPDATE_REJECTED, f"A router keeps its last table: {problem}", Cure.PERSON)
    if without_port:
        return Trouble(
            Reason.PORTS_EXHAUSTED,
            f"No port from {FIRST_MODEL_PORT} to {LAST_MODEL_PORT} is left for {without_port[0]}: "
            "move models to another namespace.",
            Cure.PERSON,
        )
    kept = sorted({name for report in world.reports for name in report.kept_back})
    if kept:
        return Trouble(
            Reason.MODEL_NOT_RENDERED, f"{kept[0]} keeps its last good routes; see status.unrendered.", Cure.PERSON
        )
    return None


def _not_ready(world: RouterWorld, router: Router) -> Trouble:
    failure = "" if world.workload is None else world.workload.failure
    found = trouble_of(world.pods, failure, {}, world.now, world.now)
    if found is not None:
        return found
    ready = 0 if world.workload is None else world.workload.ready
    return Trouble(
        Reason.ROUTER_NOT_READY,
        f"{ready} of {router.spec.replicas} pods of {router_name(world.name)} are ready.",
        Cure.TIME,
    )


def _unrendered(world: RouterWorld, without_port: tuple[str, ...]) -> tuple[UnrenderedModel, ...]:
    kept: dict[str, str] = {}
    for report in world.reports:
        kept |= report.kept_back
    kept |= dict.fromkeys(without_port, "no router port is left in the namespace")
    return tuple(UnrenderedModel(name=Label(name), message=text) for name, text in sorted(kept.items())[:_MOST_NAMED])
