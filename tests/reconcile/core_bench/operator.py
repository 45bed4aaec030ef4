"""The operator's shell, in memory: reads, lets the core decide, carries out; may be cut at any effect."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.names import LABEL_DEPLOYMENT
from penstock.api.router import Router
from penstock.reconcile.deployment import names_of, reconcile
from penstock.reconcile.effects import Apply, Create, Delete, Effect, Event, Requeue, Status
from penstock.reconcile.in_force import readable
from penstock.reconcile.observing import workload_of
from penstock.reconcile.router import reconcile_router, router_names_of
from penstock.reconcile.snapshot import status_written_at, world_of
from penstock.world import Defaults, Live, RoutedModel, RouterWorld, World

from core_bench.api_model import (
    AlreadyExistsError,
    ApiModel,
    ConflictError,
    Document,
    InvalidError,
    NotFoundError,
)
from core_bench.cluster import Cluster
from core_bench.oracle import assert_sound

DEFAULTS = Defaults(
    serving_image="penstock/serving:1.0",
    router_image="penstock/router:1.0",
    agent_image="penstock/operator:1.0",
    operator_namespace="penstock-system",
)
NAMESPACE = "risk"
REFUSALS = (AlreadyExistsError, ConflictError, InvalidError, NotFoundError)


class Cut(Enum):
    """What happens to the effect at which the operator is cut."""

    NOT_APPLIED = auto()
    """It is killed before the request."""
    APPLIED = auto()
    """It is killed after the request."""
    ANSWER_LOST = auto()
    """The request is carried out and its answer lost; the pass fails, the process lives on."""


class CutError(Exception):
    """The pass ended here."""


@dataclass
class Operator:
    """Passes over one deployment and its router. `cut_at` counts effects that write."""

    api: ApiModel
    cluster: Cluster
    defaults: Defaults = DEFAULTS
    cut_at: int | None = None
    cut: Cut = Cut.NOT_APPLIED
    done: list[Effect] = field(default_factory=list)
    observe: Callable[[Effect], None] = lambda _effect: None

    def settle(self, most: int = 30) -> None:
        """Reconcile until nothing is written any more at this moment."""
        for _ in range(most):
            before = self.api.writes
            self.once()
            if self.api.writes == before:
                return
        raise AssertionError(f"still writing after {most} passes: {self.done[-3:]}")

    def once(self) -> None:
        """One pass of each queue; one that fails is tried again later."""
        for queue in (self._deployment, self._router):
            try:
                self._carry_out(queue())
            except REFUSALS:
                continue
            except CutError:
                if self.cut is not Cut.ANSWER_LOST:
                    self.cluster.counter.forget()
                return

    def attempt(self, effect: Effect) -> None:
        """Carry out one effect, as somebody would who comes too late; a refusal is what should happen."""
        try:
            perform(self.api, effect)
        except REFUSALS:
            return

    def world(self) -> World | None:
        """The snapshot of the deployment, None when it is gone."""
        document = self.api.get("ModelDeployment", self.cluster.name)
        if document is None:
            return None
        document, unreadable = readable(document, self.api.list("ModelRevision", {}))
        made = read(ModelDeployment, document)
        exact = [(ref.kind, ref.name) for ref in names_of(made, self.defaults)]
        around = replace(self.cluster.around(document), unreadable=unreadable)
        return world_of(self.api.now, self.defaults, document, self.cluster.documents(exact), around)

    def router_world(self) -> RouterWorld:
        """The snapshot of the namespace's router."""
        router = self.api.get("Router", "default")
        objects = [self.api.get(ref.kind, ref.name) for ref in router_names_of(NAMESPACE, "default")]
        found = [Live(document) for document in objects if document is not None]
        workload = next((workload_of(live.manifest) for live in found if live.kind == "Deployment"), None)
        return RouterWorld(
            now=self.api.now,
            defaults=self.defaults,
            namespace=NAMESPACE,
            name="default",
            router=None if router is None else read(Router, router),
            models=tuple(self._models()),
            objects=tuple(found),
            workload=workload,
            pods=tuple(self.cluster.router_pods()),
            written_at=None if router is None else status_written_at(router),
        )

    def _models(self) -> Iterable[RoutedModel]:
        for document in self.api.list("ModelDeployment", {}):
            made = read(ModelDeployment, readable(document, self.api.list("ModelRevision", {}))[0])
            label = {LABEL_DEPLOYMENT: made.metadata.name}
            revisions = [it for it in self.api.list("ModelRevision", label) if _owned(it, made.metadata.uid)]
            service = self.api.get("Service", made.metadata.name)
            yield RoutedModel(
                made, tuple(read(ModelRevision, it) for it in revisions), None if service is None else Live(service)
            )

    def _deployment(self) -> Iterable[Effect]:
        world = self.world()
        return () if world is None else reconcile(world)

    def _router(self) -> Iterable[Effect]:
        return reconcile_router(self.router_world())

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Requeue):
                continue
            self.done.append(effect)
            cut = len(self.done) == self.cut_at
            if cut and self.cut is Cut.NOT_APPLIED:
                raise CutError
            self.observe(effect)
            perform(self.api, effect)
            if isinstance(effect, Status) and effect.ref.kind == "ModelDeployment":
                assert_sound(self.api, self.cluster.pods.values(), self.cluster.serving, effect.ref.name)
            if cut:
                raise CutError


def _owned(document: Document, uid: str) -> bool:
    return uid in Live(document).owners


def perform(api: ApiModel, effect: Effect) -> None:
    """Carry out one effect."""
    match effect:
        case Create(manifest):
            api.create(manifest)
        case Apply(manifest):
            api.apply(manifest)
        case Delete(ref, uid):
            try:
                api.delete(ref.kind, ref.name, uid)
            except NotFoundError:
                return
        case Status(ref, uid, version, status):
            written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
            api.replace_status(ref.kind, ref.name, uid, version, written)
        case Event(name):
            try:
                api.create_event(name, {"reason": effect.reason, "note": effect.note, "type": effect.type.value})
            except AlreadyExistsError:
                return
        case Requeue():
            return
