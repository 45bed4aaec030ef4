"""The way of a call, from the caller's Service over the router to the stable revision's pods: what of it is missing."""

from dataclasses import dataclass

from penstock.api.modelrevision import ModelRevision
from penstock.api.reasons import Reason
from penstock.reconcile.assess import crew_of
from penstock.reconcile.book import Book
from penstock.reconcile.children import owner_of
from penstock.reconcile.owning import Estate, Standing
from penstock.reconcile.ports import service_port
from penstock.world import World


@dataclass(frozen=True, slots=True)
class Gap:
    """The first part of the way that is missing, seen from its end."""

    reason: Reason
    message: str
    lasting: bool = False
    """Whether it stays until a person does something."""


def gap_of(world: World, stable: ModelRevision) -> Gap | None:
    """What keeps calls from reaching the stable revision as the snapshot shows it; None when nothing does."""
    return (
        _pods(world, stable.metadata.name) or _port(world, stable.metadata.name) or _service(world) or _routers(world)
    )


def confirms(world: World, book: Book) -> bool:
    """Whether every ready router has said that it serves the records' weights.

    What was told once stays told: an agent that cannot be asked for a moment undoes nothing.
    """
    before, confirmed = world.deployment.status, world.route.confirmed
    told = any(it.type == "Ready" and it.status == "True" for it in before.conditions) and before.epoch == book.epoch
    return told or (confirmed is not None and confirmed >= book.epoch)


def _pods(world: World, name: str) -> Gap | None:
    crew = crew_of(world, name)
    if crew.ready > 0:
        return None
    trouble = crew.trouble(world.troubled_nodes, world.now, world.now)
    if trouble is None:
        return Gap(Reason.STABLE_NOT_READY, f"No pod of the stable revision {name} is ready.")
    return Gap(trouble.reason, f"No pod of the stable revision {name} is ready: {trouble.message}")


def _port(world: World, name: str) -> Gap | None:
    route = world.route
    if route.port is not None:
        return None
    if route.problem_reason is None:
        return Gap(Reason.ROUTER_NOT_READY, f"The router has no port for {name} yet.")
    return Gap(route.problem_reason, f"The router does not route {name}: {route.problem}", lasting=True)


def _service(world: World) -> Gap | None:
    deployment, name = world.deployment, world.deployment.metadata.name
    estate = Estate.of(owner_of(deployment), world.objects)
    match estate.standing("Service", name):
        case Standing.FOREIGN:
            return Gap(
                Reason.NAME_TAKEN,
                f"The Service {name} does not belong to this ModelDeployment, so callers do not reach it: rename this "
                "ModelDeployment, or remove that Service.",
                lasting=True,
            )
        case Standing.OURS if service_port(estate.find("Service", name), deployment.metadata.uid) == world.route.port:
            return None
        case _:
            return Gap(Reason.SERVICE_NOT_READY, f"The Service {name} does not lead to the router yet.")


def _routers(world: World) -> Gap | None:
    if world.route.ready_pods > 0:
        return None
    because = f": {world.route.problem}" if world.route.problem else "."
    return Gap(Reason.ROUTER_NOT_READY, f"No router pod is ready, so no call is answered{because}")
