"""Reads the live state for one pass: the object itself, then what belongs to it, so that absence means absence."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from penstock.api import ModelDeployment, ModelRevision, Router, read
from penstock.api.errors import BadManifestError, Problem
from penstock.api.metadata import ObjectMeta
from penstock.api.names import DEFAULT_ROUTER, LABEL_DEPLOYMENT, LABEL_ROUTER, router_name
from penstock.cluster.client import Api
from penstock.cluster.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    ROUTER,
    SERVICE,
    Kind,
    kind_of,
)
from penstock.cluster.observed import is_terminating, trouble_of_node
from penstock.cluster.reading import DeploymentReading, RouterReading
from penstock.reconcile.deployment import names_of
from penstock.reconcile.effects import Ref
from penstock.reconcile.in_force import readable
from penstock.reconcile.observing import pod_of, workload_of
from penstock.reconcile.router import router_names_of
from penstock.reconcile.snapshot import Documents, Surroundings, status_written_at, world_of
from penstock.world import Defaults, Live, Manifest, Pod, RoutedModel, RouterWorld, Unusable

Seen = Callable[[Kind, Manifest], None]
_Documents = tuple[Manifest, ...]


class Reader:
    """Reads through one client; `seen` is told of every object read, `now` tells the time."""

    def __init__(self, api: Api, defaults: Defaults, seen: Seen, now: Callable[[], datetime]) -> None:
        self._api = api
        self._defaults = defaults
        self._seen = seen
        self._now = now

    async def everything(self, namespaces: Sequence[str]) -> tuple[_Documents, _Documents]:
        """All ModelDeployments and all Routers, of all namespaces when none is named. Raises ClusterError."""
        places = namespaces or ("",)
        deployments = [item for place in places for item in await self._list(MODEL_DEPLOYMENT, place)]
        routers = [item for place in places for item in await self._list(ROUTER, place)]
        return tuple(deployments), tuple(routers)

    async def deployment(self, namespace: str, name: str) -> DeploymentReading | Unusable | None:
        """What there is of one ModelDeployment, None when it is gone.

        Raises ClusterError, and BadManifestError for a ModelRevision or Router that cannot be read: then nobody can
        say who gets which traffic.
        """
        document = await self._get(MODEL_DEPLOYMENT, namespace, name)
        if document is None:
            return None
        labels = f"{LABEL_DEPLOYMENT}={name}"
        try:
            document, unreadable = await self._in_force(document, namespace, labels)
        except BadManifestError as error:
            metadata = ObjectMeta.model_validate(document["metadata"], by_alias=True, by_name=False)
            return Unusable(self._now(), metadata, document.get("status") or {}, error.problems)
        named = names_of(read(ModelDeployment, document), self._defaults)
        (revisions, workloads, pods, services, policies), (router_pods, router, table, place) = await asyncio.gather(
            asyncio.gather(
                *(
                    self._list(kind, namespace, labels)
                    for kind in (MODEL_REVISION, DEPLOYMENT, POD, SERVICE, NETWORK_POLICY)
                )
            ),
            asyncio.gather(
                self._list(POD, namespace, f"{LABEL_ROUTER}={DEFAULT_ROUTER}"),
                self._get(ROUTER, namespace, DEFAULT_ROUTER),
                self._get(CONFIG_MAP, namespace, router_name(DEFAULT_ROUTER)),
                self._get(NAMESPACE, "", namespace),
            ),
        )
        objects, troubled = await asyncio.gather(
            self._named(named, (*revisions, *workloads, *services, *policies)),
            self._troubled({pod_of(pod).node for pod in pods} - {""}),
        )
        documents = Documents(revisions, workloads, pods, (*services, *policies, *objects))
        around = Surroundings(
            troubled_nodes=troubled, namespace_terminating=is_terminating(place), unreadable=unreadable
        )
        return DeploymentReading(
            base=world_of(self._now(), self._defaults, document, documents, around),
            router=None if router is None else read(Router, router),
            table=None if table is None else Live(table),
            router_pods=tuple(map(pod_of, router_pods)),
        )

    async def _in_force(self, document: Manifest, namespace: str, labels: str) -> tuple[Manifest, tuple[Problem, ...]]:
        """The deployment with the spec in force; its revisions are only asked for when its own cannot be read."""
        try:
            return readable(document, ())
        except BadManifestError:
            return readable(document, await self._list(MODEL_REVISION, namespace, labels))

    async def router(self, namespace: str, name: str) -> RouterReading | None:
        """What there is of a Router; None when there is neither it nor a model that needs it.

        Raises ClusterError, and BadManifestError for a ModelRevision or Router that cannot be read.
        """
        (deployments, revisions, services, pods), (document, place, objects) = await asyncio.gather(
            asyncio.gather(
                self._list(MODEL_DEPLOYMENT, namespace),
                self._list(MODEL_REVISION, namespace),
                self._list(SERVICE, namespace, LABEL_DEPLOYMENT),
                self._list(POD, namespace, f"{LABEL_ROUTER}={name}"),
            ),
            asyncio.gather(
                self._get(ROUTER, namespace, name),
                self._get(NAMESPACE, "", namespace),
                self._named(router_names_of(namespace, name), ()),
            ),
        )
        # Every model uses the namespace's default router.
        served = deployments if name == DEFAULT_ROUTER else ()
        if document is None and not served:
            return None
        models, unreadable = _models(served, revisions, services)
        workload = next((found for found in objects if found["kind"] == DEPLOYMENT.kind), None)
        return RouterReading(
            RouterWorld(
                now=self._now(),
                defaults=self._defaults,
                namespace=namespace,
                name=name,
                router=None if document is None else read(Router, document),
                models=models,
                unreadable=unreadable,
                objects=tuple(map(Live, objects)),
                workload=None if workload is None else workload_of(workload),
                pods=tuple(map(pod_of, pods)),
                namespace_terminating=is_terminating(place),
                written_at=None if document is None else status_written_at(document),
            )
        )

    async def _named(self, refs: Iterable[Ref], known: Iterable[Manifest]) -> _Documents:
        """The objects of exactly these names that are there, whatever they are labelled, less those known."""
        there = {(document["kind"], document["metadata"]["name"]) for document in known}
        found = await asyncio.gather(
            *(
                self._get(kind_of(ref.api_version, ref.kind), ref.namespace, ref.name)
                for ref in refs
                if (ref.kind, ref.name) not in there
            )
        )
        return tuple(document for document in found if document is not None)

    async def _troubled(self, nodes: set[str]) -> Mapping[str, str]:
        names = sorted(nodes)
        documents = await asyncio.gather(*(self._get(NODE, "", node) for node in names))
        reasons = {
            node: "it is gone" if document is None else trouble_of_node(document)
            for node, document in zip(names, documents, strict=True)
        }
        return {node: reason for node, reason in reasons.items() if reason}

    async def _get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        document = await self._api.get(kind, namespace, name)
        if document is not None:
            self._seen(kind, document)
        return document

    async def _list(self, kind: Kind, namespace: str, labels: str = "") -> _Documents:
        documents = await self._api.listing(kind, namespace, labels)
        for document in documents:
            self._seen(kind, document)
        return documents


def _models(
    deployments: _Documents, revisions: _Documents, services: _Documents
) -> tuple[tuple[RoutedModel, ...], tuple[str, ...]]:
    """The models to route, and the names of those that cannot be read."""
    models: list[RoutedModel] = []
    unreadable: list[str] = []
    by_name = {service["metadata"]["name"]: Live(service) for service in services}
    for document in deployments:
        name = document["metadata"]["name"]
        try:
            in_force, _ = readable(document, revisions)
        except BadManifestError:
            unreadable.append(name)
            continue
        deployment = read(ModelDeployment, in_force)
        if deployment.metadata.deletion_timestamp is None:
            uid = deployment.metadata.uid
            ours = tuple(read(ModelRevision, revision) for revision in revisions if uid in Live(revision).owners)
            models.append(RoutedModel(deployment, ours, by_name.get(name)))
    return tuple(models), tuple(unreadable)


def router_pods_to_ask(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """The router pods whose agents may answer: also those that are not ready or are ending, whose counts still count."""
    return tuple(pod for pod in pods if pod.address and pod.phase == "Running")
