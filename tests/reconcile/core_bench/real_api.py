"""The real API server behind the methods of the model, so that both can be put through the same requests."""

import base64
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from core_bench.api_model import (
    MANAGER,
    AlreadyExistsError,
    ConflictError,
    Document,
    InvalidError,
    NotFoundError,
)

_PATHS = {
    "ConfigMap": ("api/v1", "configmaps"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Pod": ("api/v1", "pods"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "ModelDeployment": ("apis/penstock.dev/v1alpha1", "modeldeployments"),
    "ModelRevision": ("apis/penstock.dev/v1alpha1", "modelrevisions"),
    "Router": ("apis/penstock.dev/v1alpha1", "routers"),
}
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class RealApi:
    """One namespace of a real API server."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.namespace = namespace
        access = yaml.safe_load(kubeconfig.read_text())
        cluster, user = access["clusters"][0]["cluster"], access["users"][0]["user"]
        self._server = urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cadata=_text(cluster, "certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as both:
            both.write(_text(user, "client-certificate") + b"\n" + _text(user, "client-key"))
            both.flush()
            self._tls.load_cert_chain(both.name)

    def get(self, kind: str, name: str) -> Document | None:
        try:
            return self.request("GET", self._path(kind, name))
        except NotFoundError:
            return None

    def list(self, kind: str, labels: Mapping[str, str]) -> list[Document]:
        selector = urlencode({"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())})
        found: list[Document] = self.request("GET", f"{self._path(kind)}?{selector}")["items"]
        return found

    def create(self, manifest: Mapping[str, Any]) -> Document:
        """An apply with a version that no object has creates or conflicts, and its fields count as applied."""
        metadata = {**manifest["metadata"], "resourceVersion": "1"}
        try:
            return self.apply({**manifest, "metadata": metadata})
        except ConflictError as conflict:
            raise AlreadyExistsError(str(conflict)) from conflict

    def apply(self, manifest: Mapping[str, Any]) -> Document:
        options = urlencode({"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"})
        path = self._path(manifest["kind"], manifest["metadata"]["name"])
        return self.request("PATCH", f"{path}?{options}", manifest, APPLY)

    def edit(self, kind: str, name: str, changes: Mapping[str, Any]) -> Document:
        path = self._path(kind, name)
        return self.request("PATCH", f"{path}?{urlencode({'fieldManager': 'person'})}", changes, MERGE)

    def replace_status(
        self, kind: str, name: str, uid: str, version: str | None, status: Mapping[str, Any]
    ) -> Document:
        """Replace the status and nothing else: a PUT without the whole metadata would take it from its owners."""
        identity = {"uid": uid} | ({} if version is None else {"resourceVersion": version})
        patch = [
            *({"op": "replace", "path": f"/metadata/{field}", "value": value} for field, value in identity.items()),
            {"op": "add", "path": "/status", "value": status},
        ]
        options = urlencode({"fieldManager": MANAGER})
        return self.request("PATCH", f"{self._path(kind, name)}/status?{options}", patch, JSON_PATCH)

    def delete(self, kind: str, name: str, uid: str | None = None) -> None:
        preconditions = {"preconditions": {"uid": uid}} if uid else {}
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", **preconditions}
        self.request("DELETE", self._path(kind, name), options)

    def request(self, method: str, path: str, body: Any = None, form: str = "application/json") -> Document:
        """The answer. Raises the model's errors for the refusals that the model knows, AssertionError for others."""
        status, text = self._exchange(method, path, body, form)
        if status == 404 and not text.startswith(b"{"):
            raise NotFoundError(f"the server does not know {path}")
        document: Document = json.loads(text)
        if status < 300:
            return document
        reason, message = document.get("reason"), document.get("message", "")
        refusals = {
            "AlreadyExists": AlreadyExistsError,
            "Conflict": ConflictError,
            "NotFound": NotFoundError,
            "Invalid": InvalidError,
        }
        assert reason in refusals, f"{method} {path}: {status} {reason} {message}"
        raise refusals[reason](message)

    def _exchange(self, method: str, path: str, body: Any, form: str) -> tuple[int, bytes]:
        """Status and body; while the server says that it is too busy, as often as it takes."""
        while True:
            connection = http.client.HTTPSConnection(
                self._server.hostname or "", self._server.port, context=self._tls, timeout=30
            )
            try:
                text = None if body is None else json.dumps(body)
                connection.request(method, f"/{path}", text, {"Content-Type": form})
                answer = connection.getresponse()
                if answer.status != 429:
                    return answer.status, answer.read()
                time.sleep(float(answer.headers.get("Retry-After", "1")))
            finally:
                connection.close()

    def _path(self, kind: str, name: str = "") -> str:
        group, plural = _PATHS[kind]
        path = f"{group}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path


def _text(holder: Mapping[str, str], name: str) -> bytes:
    if f"{name}-data" in holder:
        return base64.b64decode(holder[f"{name}-data"])
    return Path(holder[name]).read_bytes()
