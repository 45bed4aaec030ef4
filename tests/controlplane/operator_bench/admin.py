"""A person with all rights: plain requests to the API server."""

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

Json = dict[str, Any]

OURS = "/apis/penstock.dev/v1alpha1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

PATHS = {
    "ModelDeployment": f"{OURS}/namespaces/{{0}}/modeldeployments",
    "ModelRevision": f"{OURS}/namespaces/{{0}}/modelrevisions",
    "Router": f"{OURS}/namespaces/{{0}}/routers",
    "Deployment": "/apis/apps/v1/namespaces/{0}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{0}/replicasets",
    "Pod": "/api/v1/namespaces/{0}/pods",
    "Service": "/api/v1/namespaces/{0}/services",
    "ConfigMap": "/api/v1/namespaces/{0}/configmaps",
    "ServiceAccount": "/api/v1/namespaces/{0}/serviceaccounts",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{0}/rolebindings",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{0}/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{0}/poddisruptionbudgets",
    "Event": "/apis/events.k8s.io/v1/namespaces/{0}/events",
}
"""Where the objects of a namespace are."""

MADE = ("ModelRevision", "Router", "Deployment", "Service", "ConfigMap", "ServiceAccount", "RoleBinding",
        "NetworkPolicy", "PodDisruptionBudget")  # fmt: skip
"""Kinds that the operator makes."""


class ExpiredError(Exception):
    """The API server no longer knows what happened since that resource version."""


class Admin:
    """Requests with the rights of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trust = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
            pair.flush()
            trust.load_cert_chain(pair.name)
        self.namespaces: set[str] = set()
        """Those that it made."""
        self.server = cluster["server"]
        self._http = httpx.Client(base_url=self.server, verify=trust, timeout=30.0)

    def close(self) -> None:
        """End all connections."""
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, *, form: str = "application/json", **query: str) -> Json:
        """The answer as JSON. Raises AssertionError for a refusal."""
        answer = self.answer(method, path, body, form=form, **query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def answer(
        self, method: str, path: str, body: Any = None, *, form: str = "application/json", **query: str
    ) -> httpx.Response:
        """The answer, whatever it is."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": form, "Accept": "application/json", "User-Agent": "a-person"}
        return self._http.request(method, path, content=content, headers=headers, params=query)

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """One object, None when it is not there."""
        answer = self.answer("GET", f"{PATHS[kind].format(namespace)}/{name}")
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def items(self, kind: str, namespace: str, labels: str = "") -> list[Json]:
        """All objects of a kind in a namespace."""
        query = {"labelSelector": labels} if labels else {}
        return self.call("GET", PATHS[kind].format(namespace), **query)["items"]

    def apply(self, document: Json, manager: str = "a-person") -> Json:
        """What `kubectl apply --server-side` does."""
        metadata = document["metadata"]
        path = f"{PATHS[document['kind']].format(metadata['namespace'])}/{metadata['name']}"
        return self.call("PATCH", path, document, form=APPLY, fieldManager=manager, force="true")

    def merge(self, kind: str, namespace: str, name: str, change: Json, subresource: str = "") -> Json:
        """What `kubectl patch --type=merge` does."""
        tail = f"/{subresource}" if subresource else ""
        return self.call("PATCH", f"{PATHS[kind].format(namespace)}/{name}{tail}", change, form=MERGE)

    def watch(self, path: str, since: str, seconds: int = 10) -> Iterator[Json]:
        """Changes after a resource version, for so long. Raises ExpiredError."""
        query = {
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        with self._http.stream("GET", path, params=query, timeout=seconds + 10) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ExpiredError(str(event["object"]))
                yield event

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self.call("DELETE", f"{PATHS[kind].format(namespace)}/{name}")

    def namespace(self, name: str) -> str:
        """Make a namespace, in which only pods of the `restricted` security level are admitted."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.call("POST", "/api/v1/namespaces", document)
        self.namespaces.add(name)
        return name


def _text(holder: Json, key: str) -> str:
    data = holder.get(f"{key}-data")
    return base64.b64decode(data).decode() if data else Path(holder[key]).read_text()
