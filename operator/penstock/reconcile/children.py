"""The objects that a deployment should have, from the records as they should be."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from penstock.api.actions import Verb
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision, Role
from penstock.api.names import API_VERSION, DEFAULT_ROUTER
from penstock.api.rollout import Strategy
from penstock.api.runtime import Placement
from penstock.reconcile.assess import strategy_of
from penstock.reconcile.book import Book
from penstock.reconcile.decide import Decided, warm_previous, watch_ends
from penstock.reconcile.effects import Effect, Ref
from penstock.reconcile.owning import Estate
from penstock.render.metadata import Owner
from penstock.render.network_policy import serving_network_policy
from penstock.render.revision_service import revision_service
from penstock.render.service import service
from penstock.render.serving_deployment import ANNOTATION_PLACEMENT, serving_deployment
from penstock.render.templates import TEMPLATES
from penstock.rollout.pods import FULL, pods_for
from penstock.rollout.steps import Position, next_weight
from penstock.world import Live, World

DRAINED = timedelta(seconds=30)
"""Pods outlive the end of their traffic by this much, and by the longest call, so that those under way are answered."""
DRAINED_UNCONFIRMED = timedelta(minutes=10)
"""The same, while routers do not confirm that the traffic has ended."""


def owner_of(deployment: ModelDeployment) -> Owner:
    """The deployment as the owner of its objects."""
    metadata = deployment.metadata
    return Owner(API_VERSION, deployment.kind, metadata.namespace, metadata.name, metadata.uid)


def fixed_names(deployment: ModelDeployment) -> tuple[Ref, ...]:
    """Objects that have the deployment's own name."""
    metadata = deployment.metadata
    return (
        Ref("v1", "Service", metadata.namespace, metadata.name),
        Ref("networking.k8s.io/v1", "NetworkPolicy", metadata.namespace, metadata.name),
    )


def revision_names(deployment: ModelDeployment, revision: str) -> tuple[Ref, ...]:
    """Objects that have a revision's name."""
    namespace = deployment.metadata.namespace
    return (
        Ref(API_VERSION, "ModelRevision", namespace, revision),
        Ref("apps/v1", "Deployment", namespace, revision),
        Ref("v1", "Service", namespace, revision),
    )


def settle_children(world: World, estate: Estate, decided: Decided) -> Iterator[Effect]:
    """Pods for every revision that needs them, then the Service and its policy."""
    owner, book = estate.owner, decided.book
    for name, replicas in sorted(replicas_by_revision(world, decided).items()):
        revision = book.revisions[name]
        if revision.spec.template_version not in TEMPLATES:
            continue
        placement = placement_of(estate, name, world.deployment.spec.runtime.pod_template)
        yield from estate.settle(serving_deployment(owner, name, revision.spec, replicas, placement))
        yield from estate.settle(revision_service(owner, name))
    if world.route.port is not None:
        yield from estate.settle(service(owner, world.deployment.spec.service, DEFAULT_ROUTER, world.route.port))
    if book.revisions:
        yield from estate.settle(serving_network_policy(owner))


def replicas_by_revision(world: World, decided: Decided) -> dict[str, int]:
    """How many pods each revision should have; those that are not named should have none.

    Stable has its full size until its successor is promoted and through the watch after that, so that it can take all
    of the traffic back at any moment. The candidate has what its next weight needs before it gets it.
    """
    full = world.deployment.spec.runtime.replicas
    book = decided.book
    stable, candidate = book.stable, book.candidate
    wanted: dict[str, int] = {}
    if stable is not None:
        wanted[stable.metadata.name] = full
        previous = warm_previous(world, book)
        if previous is not None:
            wanted[previous.metadata.name] = full
    if candidate is not None:
        asked = decided.hearing.released
        at_once = asked is not None and asked.verb is Verb.PROMOTE and asked.revision == candidate.metadata.name
        weight = FULL if at_once else _weight_ahead(world, candidate, stable)
        wanted[candidate.metadata.name] = pods_for(weight, full)
    return wanted


def _weight_ahead(world: World, candidate: ModelRevision, stable: ModelRevision | None) -> int:
    release = candidate.record.release
    if stable is None or release is None or strategy_of(world, candidate.record, stable) is Strategy.IMMEDIATE:
        return FULL
    return next_weight(world.deployment.spec.rollout.steps, Position(release.step, release.weight))


def placement_of(estate: Estate, revision: str, placement: Placement) -> Placement:
    """The placement of a revision's pods: what its Deployment was made with, so that running pods keep their place."""
    live = estate.find("Deployment", revision)
    if live is None:
        return placement
    try:
        text = (live.metadata.get("annotations") or {}).get(ANNOTATION_PLACEMENT, "")
        return Placement.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        return placement


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object of a revision that gets no more traffic, and when it may go."""

    live: Live
    goes_at: datetime


def leftovers(world: World, decided: Decided) -> list[Leftover]:
    """Deployments and Services of revisions that should have no pods any more."""
    wanted, book = replicas_by_revision(world, decided), decided.book
    uid = world.deployment.metadata.uid
    services = [
        live for live in world.objects if live.kind == "Service" and live.name != world.deployment.metadata.name
    ]
    return [
        Leftover(live, _goes_at(world, book, live.name))
        for live in (*(workload.live for workload in world.workloads), *services)
        if live.name not in wanted and uid in live.owners and not live.deleting
    ]


def _goes_at(world: World, book: Book, name: str) -> datetime:
    """Traffic ends first: every router has confirmed the weights without it, and requests under way are over."""
    revision = book.find(name)
    if revision is None:
        return world.now
    ended = _ended_at(world, book, revision)
    confirmed = world.route.confirmed is not None and world.route.confirmed >= book.epoch
    longest_call = world.deployment.spec.traffic.timeout.timedelta
    return ended + (max(DRAINED, longest_call) if confirmed else DRAINED_UNCONFIRMED)


def _ended_at(world: World, book: Book, revision: ModelRevision) -> datetime:
    since = revision.record.since or world.now
    stable = book.stable
    if revision.record.role is Role.PREVIOUS and stable is not None:
        return max(since, watch_ends(world, stable) or since)
    return since
