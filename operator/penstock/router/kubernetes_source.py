"""The routing table from a ConfigMap, the addresses of its arms from EndpointSlices; both followed without a pause.

The agent reads both itself, so a router pod that starts while the operator is away still finds its way.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from penstock.router.contract import PORT_GRPC, PORT_HTTP
from penstock.router.kubernetes_api import (
    ApiUnavailableError,
    Change,
    Collection,
    Json,
    KubernetesApi,
    ResourceVersionGoneError,
)

TABLE_KEY = "table.json"
SLICE_LABEL = "penstock.dev/deployment"
"""On the Services of model revisions, and by Kubernetes' own doing on their EndpointSlices."""
SERVICE_OF_SLICE = "kubernetes.io/service-name"
_AGAIN_SECONDS = 1.0

log = logging.getLogger("penstock.router")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the pods of one Service answer, as the routing table writes it; by gRPC nowhere, if its Service has no port
    of that name."""

    http: tuple[str, ...]
    grpc: tuple[str, ...]


class KubernetesSource:
    """Follows one ConfigMap and the namespace's EndpointSlices of models."""

    def __init__(self, api: KubernetesApi, namespace: str, config_map: str) -> None:
        self._api = api
        self._table = Collection(
            f"/api/v1/namespaces/{namespace}/configmaps", (("fieldSelector", f"metadata.name={config_map}"),)
        )
        self._slices = Collection(
            f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", (("labelSelector", SLICE_LABEL),)
        )

    async def tables(self) -> AsyncIterator[str]:
        """The table with its arms' addresses, once both have been read, and after each change of either."""
        news = asyncio.Event()
        mirrors = [_Mirror(self._api, collection, news.set) for collection in (self._table, self._slices)]
        tasks = [asyncio.create_task(mirror.keep(), name=mirror.name) for mirror in mirrors]
        told: str | None = None
        try:
            while True:
                waiting = asyncio.create_task(news.wait())
                await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                for task in tasks:
                    if task.done():
                        task.result()
                news.clear()
                tables, slices = (mirror.items for mirror in mirrors)
                if tables is None or slices is None:
                    continue
                text = _text(tables.values(), slices.values())
                if text is not None and text != told:
                    told = text
                    yield text
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


class _Mirror:
    """A collection as it is now, by object name; None before it has been read."""

    def __init__(self, api: KubernetesApi, collection: Collection, changed: Callable[[], None]) -> None:
        self._api = api
        self._collection = collection
        self._changed = changed
        self.name = collection.path
        self.items: dict[str, Json] | None = None

    async def keep(self) -> None:
        """Read and follow, for ever; what cannot be asked for now is asked again."""
        version: str | None = None
        while True:
            try:
                if version is None:
                    listed, version = await self._api.read(self._collection)
                    self.items = {_name(item): item for item in listed}
                    self._changed()
                async for change in self._api.follow(self._collection, version):
                    version = str(change.item["metadata"]["resourceVersion"])
                    self._take(change)
            except ResourceVersionGoneError:
                version = None
            except ApiUnavailableError as error:
                log.warning("The routing table stays as it was: %s", error)
                version = None
                await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, change: Change) -> None:
        if self.items is None or change.kind == "BOOKMARK":
            return
        if change.kind == "DELETED":
            self.items.pop(_name(change.item), None)
        else:
            self.items[_name(change.item)] = change.item
        self._changed()


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _text(tables: Iterable[Json], slices: Iterable[Json]) -> str | None:
    """The table's text; None while there is no table: a deleted one takes nobody's routes away."""
    for table in tables:
        text = (table.get("data") or {}).get(TABLE_KEY)
        if isinstance(text, str):
            return with_addresses(text, addresses(slices))
    return None


def addresses(slices: Iterable[Json]) -> Mapping[str, Addresses]:
    """By Service, the addresses of its ready pods, each once, of one address family: IPv4 where there is any.

    A pod that is ending counts as not ready.
    """
    by_service: dict[str, list[Json]] = {}
    for item in slices:
        by_service.setdefault(str((item["metadata"].get("labels") or {}).get(SERVICE_OF_SLICE, "")), []).append(item)
    return {name: Addresses(_ready(own, _http_port), _ready(own, _grpc_port)) for name, own in by_service.items()}


def with_addresses(text: str, known: Mapping[str, Addresses]) -> str:
    """The table with `"service": NAME` in arms replaced by that Service's addresses. What is no table stays as it is,
    for the reader to refuse."""
    try:
        table = json.loads(text)
    except ValueError:
        return text
    for model in _list(table, "models"):
        for arm in _list(model, "arms"):
            if isinstance(arm, dict) and isinstance(arm.get("service"), str) and "endpoints" not in arm:
                found = known.get(arm.pop("service"), _NOWHERE)
                arm["endpoints"] = list(found.http)
                if found.grpc:
                    arm["grpcEndpoints"] = list(found.grpc)
    return json.dumps(table, separators=(",", ":"))


def _list(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def _ready(slices: Iterable[Json], port_of: Callable[[list[Json]], int | None]) -> tuple[str, ...]:
    """The addresses that are ready, at the port that is chosen among those of their slice."""
    families: dict[str, set[str]] = {}
    for item in slices:
        port = port_of(item.get("ports") or [])
        found = families.setdefault(str(item.get("addressType")), set())
        for endpoint in item.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            if port is not None and conditions.get("ready") is not False and not conditions.get("terminating"):
                found.update(_written(address, port) for address in endpoint["addresses"])
    return tuple(sorted(families.get("IPv4") or families.get("IPv6") or ()))


def _http_port(ports: list[Json]) -> int | None:
    """The port named http, else the first that is not gRPC's."""
    return _number(_named(ports, PORT_HTTP) or [port for port in ports if port.get("name") != PORT_GRPC])


def _grpc_port(ports: list[Json]) -> int | None:
    return _number(_named(ports, PORT_GRPC))


def _named(ports: list[Json], name: str) -> list[Json]:
    return [port for port in ports if port.get("name") == name]


def _number(ports: list[Json]) -> int | None:
    number = ports[0].get("port") if ports else None
    return number if isinstance(number, int) else None


_NOWHERE = Addresses((), ())


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
