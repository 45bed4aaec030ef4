"""One snapshot of everything observed, with `now`: the only thing that enters the core.

A `World` is about one ModelDeployment, a `RouterWorld` about one Router. Whoever makes one reads the API server live
(the object itself, then its children by label), so that absence means absence. Nothing here knows how it was read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.api.errors import Problem
from penstock.api.metadata import ObjectMeta
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.reasons import Reason
from penstock.api.router import Router
from penstock.api.status import EvidenceRow

Manifest = Mapping[str, Any]
"""A Kubernetes object as JSON has it, whole: the form in which objects cross the border of the core."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What this operator fills in where a spec leaves it out, and where it runs."""

    serving_image: str
    """Image of the model server, the monitor and the fetch."""
    router_image: str
    """Image with Envoy."""
    agent_image: str
    """Image with the router's agent: the operator's own."""
    operator_namespace: str
    """Namespace whose pods may ask the agents."""


@dataclass(frozen=True, slots=True)
class Live:
    """An object that is there, as the API server returned it."""

    manifest: Manifest

    @property
    def metadata(self) -> Manifest:
        """Its `metadata`."""
        found: Manifest = self.manifest.get("metadata") or {}
        return found

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.metadata["name"])

    @property
    def uid(self) -> str:
        """Its identity."""
        return str(self.metadata.get("uid", ""))

    @property
    def resource_version(self) -> str:
        """Its version as it was read."""
        return str(self.metadata.get("resourceVersion", ""))

    @property
    def owners(self) -> frozenset[str]:
        """The uids in its ownerReferences."""
        return frozenset(str(owner.get("uid", "")) for owner in self.metadata.get("ownerReferences") or ())

    @property
    def deleting(self) -> bool:
        """Whether its deletion was asked for."""
        return bool(self.metadata.get("deletionTimestamp"))


class ContainerRole(StrEnum):
    """What a container is in its pod."""

    INIT = "Init"
    """Runs to its end before the others start: the fetch."""
    SIDECAR = "Sidecar"
    """A helper; its exits say nothing about the model."""
    MAIN = "Main"
    """The model server, or Envoy."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of a container's process."""

    code: int
    reason: str
    """As the kubelet says: Error, OOMKilled, Completed, ContainerCannotRun …"""
    message: str
    """The container's own last words (its termination log), else the kubelet's."""
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod. `exits` counts the ends of its process so far; `last_exit` is the newest."""

    name: str
    role: ContainerRole
    running: bool
    waiting: str
    """Why it does not run, as the kubelet says: ImagePullBackOff, CrashLoopBackOff, ContainerCreating …; else empty."""
    waiting_message: str
    exits: int
    last_exit: Exit | None


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod."""

    name: str
    uid: str
    revision: str
    """Name of the ModelRevision that it runs; empty for a router pod."""
    address: str
    """Its IP address; empty while it has none."""
    phase: str
    ready: bool
    deleting: bool
    created_at: datetime
    node: str
    """Node it was bound to; empty while unscheduled."""
    unschedulable: str
    """Why the scheduler finds no node, in its words; empty otherwise."""
    disruption: str
    """What ended it from outside: Evicted, PreemptionByScheduler, NodeLost, DeletionByTaintManager …; else empty."""
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment (apps/v1) of one revision or router."""

    live: Live
    revision: str
    """Name of the ModelRevision whose pods it keeps; empty for a router."""
    replicas: int
    """Pods wanted."""
    ready: int
    updated: int
    observed: bool
    """Whether its controller has seen the newest spec."""
    failure: str
    """Why pods cannot be made (a quota, a policy), in the API server's words; empty otherwise."""


class Decision(StrEnum):
    """The judge's verdicts."""

    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    HOLD = "Hold"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's word on a candidate, in what decides here.

    `log_evalue` is the combined evidence of harm; `highest_harm` the largest upper limit, over all guardrails, of the
    interval for candidate rate − stable rate (a fraction); `says` one sentence for people.
    """

    decision: Decision
    reason: Reason
    says: str
    log_evalue: float
    highest_harm: float
    rows: tuple[EvidenceRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known, as of `as_of`, about one release.

    It counts only for the release that it names: another candidate, or the same one released anew, has none of it.
    """

    revision: str
    started_at: datetime
    judgement: Judgement
    as_of: datetime
    """Up to when every router pod's ledger has been judged."""
    epoch: int
    requests: int
    """Requests assigned to the candidate at `epoch` and judged."""
    saturated: bool = False
    """Whether pods of either side turn away a notable share of requests for want of capacity."""
    unreachable: tuple[str, ...] = ()
    """Router pods that could not be asked lately."""
    cursors: Mapping[str, str] = field(default_factory=dict)
    """Up to where each router's ledger has been judged, by boot id; kept with the revision."""
    memory: str = ""
    """State of the judge and of the counts above, as text of at most 64 KiB; kept with the revision."""


@dataclass(frozen=True, slots=True)
class RouteView:
    """What the router has for one ModelDeployment.

    `port`, `epoch`, `weight` (percent), `stable` and `candidate` are the table's, None or empty before the model is in
    it; `confirmed` is the lowest epoch that Envoy serves over all ready router pods, None while one of them cannot
    tell; `reachable` is how many pods of the candidate each of them knows at least.
    """

    port: int | None = None
    epoch: int | None = None
    weight: int = 0
    stable: str = ""
    candidate: str = ""
    confirmed: int | None = None
    reachable: int = 0
    ready_pods: int = 0
    problem: str = ""
    """Why the model keeps its last good routes, or has none; empty when all is well."""
    problem_reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What the API server refused when the last pass was carried out, in a way that repeating does not cure."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class World:
    """Everything observed for one ModelDeployment."""

    now: datetime
    defaults: Defaults
    deployment: ModelDeployment
    revisions: tuple[ModelRevision, ...] = ()
    """All ModelRevisions whose ownerReferences name it; others that carry its label or name belong to `objects`."""
    workloads: tuple[Workload, ...] = ()
    """All Deployments (apps/v1) that carry its label."""
    pods: tuple[Pod, ...] = ()
    """All serving pods that carry its label."""
    objects: tuple[Live, ...] = ()
    """Its Services and NetworkPolicies by label, and what is there of the objects that `reconcile.deployment.names_of`
    lists by their exact names, whatever their labels and owners, so that a taken name is seen. Each once."""
    route: RouteView = RouteView()
    evidence: Evidence | None = None
    """None while nobody has judged, as after a restart."""
    troubled_nodes: Mapping[str, str] = field(default_factory=dict)
    """Nodes that are not well, and why: NotReady, MemoryPressure …"""
    namespace_terminating: bool = False
    written_at: datetime | None = None
    """When the operator last wrote the status, as managedFields tell; None when never."""
    recorded_at: Mapping[str, datetime] = field(default_factory=dict)
    """When the operator last wrote each ModelRevision, by name, as managedFields tell."""
    obstacle: Obstacle | None = None
    """Set only on the pass that follows a refusal: that pass tells it, the next tries again."""
    unreadable: tuple[Problem, ...] = ()
    """What is wrong with the newest spec when it cannot be read; `deployment` then has the last one that could."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A ModelDeployment whose spec cannot be read, and of which no earlier one is known."""

    now: datetime
    metadata: ObjectMeta
    status: Manifest
    """Its `status` as it is there, to be kept where it still holds."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class RoutedModel:
    """One ModelDeployment as its router needs it."""

    deployment: ModelDeployment
    revisions: tuple[ModelRevision, ...]
    service: Live | None = None
    """The Service of its name, whoever owns it."""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What one router pod's agent says of itself (`/state`)."""

    pod: str
    epochs: Mapping[str, int]
    """Epoch in force and confirmed by Envoy, by the uid of the ModelDeployment."""
    candidates: Mapping[str, int]
    """Candidate pods that it knows, by the uid of the ModelDeployment."""
    kept_back: Mapping[str, str]
    """Names of models that keep their last good routes, and why."""
    table_problem: str = ""


@dataclass(frozen=True, slots=True)
class RouterWorld:
    """Everything observed for the Router of a namespace, from one consistent LIST of its models."""

    now: datetime
    defaults: Defaults
    namespace: str
    name: str
    router: Router | None
    models: tuple[RoutedModel, ...] = ()
    unreadable: tuple[str, ...] = ()
    """Names of ModelDeployments that are there but cannot be used; the router keeps what it has for them."""
    objects: tuple[Live, ...] = ()
    """What is there of the objects that `reconcile.router.router_names_of` lists by their exact names, owned or not."""
    workload: Workload | None = None
    pods: tuple[Pod, ...] = ()
    reports: tuple[AgentReport, ...] = ()
    """Of the router pods whose agents could be asked."""
    namespace_terminating: bool = False
    written_at: datetime | None = None
    obstacle: Obstacle | None = None
