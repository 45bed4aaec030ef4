"""Puts a snapshot together from the API server's documents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock.api.errors import Problem
from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.names import FIELD_MANAGER
from penstock.reconcile.observing import pod_of, workload_of
from penstock.world import Defaults, Evidence, Live, Manifest, Obstacle, RouteView, World


@dataclass(frozen=True, slots=True)
class Documents:
    """What was read for one ModelDeployment, beside itself: all that carry its label, and the objects of exact names."""

    revisions: tuple[Manifest, ...] = ()
    workloads: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    objects: tuple[Manifest, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the API server's documents of one ModelDeployment."""

    route: RouteView = field(default_factory=RouteView)
    evidence: Evidence | None = None
    troubled_nodes: Mapping[str, str] = field(default_factory=dict)
    namespace_terminating: bool = False
    obstacle: Obstacle | None = None
    unreadable: tuple[Problem, ...] = ()


def world_of(
    now: datetime, defaults: Defaults, deployment: Manifest, documents: Documents, around: Surroundings
) -> World:
    """The snapshot. `deployment` has the spec in force (see `in_force.readable`); raises BadManifestError when it cannot
    be read."""
    made = read(ModelDeployment, deployment)
    found = _distinct((*documents.revisions, *documents.workloads, *documents.objects))
    revisions = [live for live in found if live.kind == "ModelRevision"]
    ours = [live for live in revisions if made.metadata.uid in live.owners]
    others = [live for live in found if live.kind not in ("ModelRevision", "Deployment")]
    return World(
        now=now,
        defaults=defaults,
        deployment=made,
        revisions=tuple(read(ModelRevision, live.manifest) for live in ours),
        workloads=tuple(workload_of(live.manifest) for live in found if live.kind == "Deployment"),
        pods=tuple(map(pod_of, documents.pods)),
        objects=(*others, *(live for live in revisions if live not in ours)),
        route=around.route,
        evidence=around.evidence,
        troubled_nodes=around.troubled_nodes,
        namespace_terminating=around.namespace_terminating,
        written_at=status_written_at(deployment),
        recorded_at={live.name: at for live in ours if (at := _written_at(live.manifest, None)) is not None},
        obstacle=around.obstacle,
        unreadable=around.unreadable,
    )


def _distinct(documents: Iterable[Manifest]) -> list[Live]:
    """Each object once, though it was found by label and by name."""
    return list({(document["kind"], document["metadata"]["name"]): Live(document) for document in documents}.values())


def status_written_at(document: Manifest) -> datetime | None:
    """When the operator last wrote the status of an object, as its managedFields tell."""
    return _written_at(document, "status")


def _written_at(document: Manifest, subresource: str | None) -> datetime | None:
    times = [
        datetime.fromisoformat(entry["time"])
        for entry in document["metadata"].get("managedFields") or ()
        if entry.get("manager") == FIELD_MANAGER and entry.get("subresource") == subresource and entry.get("time")
    ]
    return max(times, default=None)
