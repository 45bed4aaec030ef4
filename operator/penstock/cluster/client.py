"""A thin client of the API server over `kubernetes.aio`: plain JSON in and out, every failure one of `errors`."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from penstock.api.names import FIELD_MANAGER
from penstock.cluster.errors import ClusterError, Conflict, Retry, classify
from penstock.cluster.kinds import Kind
from penstock.reconcile.effects import Ref
from penstock.world import Manifest

_TIMEOUT = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_JSON_PATCH = "application/json-patch+json"
_Body = Manifest | list[dict[str, Any]] | None
_PAGE = 500
_NO_OBJECT_HAS = "1"
"""A resourceVersion that no object can have: the store's first write has a higher one."""


class Listener(Protocol):
    """Is told of every answered request, for metrics."""

    def answered(self, verb: str, kind: str, status: int) -> None:
        """`status` is the HTTP status, 0 when there was no answer."""
        ...


async def configuration() -> Any:
    """How to reach the API server: KUBECONFIG when set, else the pod's service account, else ~/.kube/config.

    Raises ConfigException (kubernetes.aio) when there is none of them.
    """
    chosen = kubernetes_client.Configuration()
    file = os.environ.get("KUBECONFIG") or None
    if "KUBERNETES_SERVICE_HOST" in os.environ and file is None:
        kubernetes_config.load_incluster_config(client_configuration=chosen)  # type: ignore[no-untyped-call]
    else:
        await kubernetes_config.load_kube_config(file, client_configuration=chosen)  # type: ignore[no-untyped-call]
    return chosen


class Api:
    """One connection pool to the API server. Close it after use."""

    def __init__(self, settings: Any, listener: Listener) -> None:
        self._client = kubernetes_client.ApiClient(settings)
        self._client.user_agent = "penstock-operator"
        self._listener = listener

    async def close(self) -> None:
        """End all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """One object, or None when it is not there. Raises ClusterError."""
        try:
            return await self._call("GET", kind, kind.path(namespace, name))
        except Conflict:
            return None

    async def listing(self, kind: Kind, namespace: str = "", labels: str = "") -> tuple[Manifest, ...]:
        """All objects that carry the labels, in pages of one consistent list. Raises ClusterError."""
        found: list[Manifest] = []
        query = [("limit", str(_PAGE)), *([("labelSelector", labels)] if labels else [])]
        onwards: Sequence[tuple[str, str]] = ()
        while True:
            page = await self._call("GET", kind, kind.path(namespace), query=[*query, *onwards], verb="LIST")
            # Items of a list of built-in kinds do not say what they are.
            found += ({"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page["items"])
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return tuple(found)
            onwards = [("continue", token)]

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object that must be absent, owned field by field as if applied. Raises Conflict when it is there.

        A POST would leave its fields with a second, separate entry of the same manager, and a field left out of a later
        apply would stay for ever. An apply with a resourceVersion that no object has creates or conflicts, never takes.
        """
        metadata = {**manifest["metadata"], "resourceVersion": _NO_OBJECT_HAS}
        return await self._apply(kind, {**manifest, "metadata": metadata}, verb="CREATE")

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply, forced. With `metadata.uid` it never creates; with `metadata.resourceVersion` it never
        writes over what was not read. Raises ClusterError."""
        return await self._apply(kind, manifest, verb="APPLY")

    async def _apply(self, kind: Kind, manifest: Manifest, verb: str) -> Manifest:
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        return await self._call("PATCH", kind, path, query=query, body=manifest, content=_APPLY, verb=verb)

    async def replace_status(self, kind: Kind, ref: Ref, uid: str, resource_version: str, status: Manifest) -> None:
        """Replace an object's status, and nothing else of it. Raises Conflict when it is not as it was read.

        A PUT without the whole metadata would take labels and annotations from the managers that own them.
        """
        patch: list[dict[str, Any]] = [
            {"op": "replace", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = kind.path(ref.namespace, ref.name, "status")
        query = [("fieldManager", FIELD_MANAGER)]
        await self._call("PATCH", kind, path, query=query, body=patch, content=_JSON_PATCH, verb="STATUS")

    async def post(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object that is never written again. Raises Conflict when it is there."""
        path = kind.path(manifest["metadata"]["namespace"])
        return await self._call("POST", kind, path, query=[("fieldManager", FIELD_MANAGER)], body=manifest)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete this very object in the background. Raises Conflict when it is gone or another has its name."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                "preconditions": {"uid": uid}}  # fmt: skip
        await self._call("DELETE", kind, kind.path(namespace, name), body=body)

    async def _call(
        self,
        method: str,
        kind: Kind,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: _Body = None,
        content: str = _JSON,
        verb: str = "",
    ) -> dict[str, Any]:
        request = f"{verb or method} {kind.kind} {path}"
        status = 0
        try:
            status, headers, text = await self._exchange(method, path, query, body, content)
            answer = _parsed(text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retry(f"{request}: no answer from the API server ({error or type(error).__name__})") from error
        finally:
            self._listener.answered(verb or method, kind.kind, status)
        if status >= 400:
            raise _error(request, status, answer, headers)
        if answer is None:
            raise Retry(f"{request}: the answer is no JSON object")
        return answer

    async def _exchange(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: _Body, content: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        _, url, sent, _, _ = await self._client.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params={"Accept": _JSON, "Content-Type": content},
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(method, url, sent, body, _request_timeout=_TIMEOUT)
        return response.status, response.headers, await response.read()  # type: ignore[no-untyped-call]


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _error(request: str, status: int, answer: dict[str, Any] | None, headers: Mapping[str, str]) -> ClusterError:
    return classify(request, status, answer or {}, headers.get("Retry-After"))
