"""The Kubernetes objects of the demo, all in one namespace that enforces the `restricted` level."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training import Trained, Version

NAMESPACE = "penstock-demo"
MODEL = "tumour"
SERVING_IMAGE = "docker.io/penstock/serving:dev"
STORE_PORT = 8000
RATE = 80
"""Requests per second."""
CALLER = Path(__file__).with_name("caller.py")
STEPS = ({"weight": 25}, {"weight": 50})

Json = dict[str, Any]


def setting(trained: Trained) -> list[Json]:
    """What is there before the first model: the namespace, a web server with the archives, and the callers' rows."""
    archives = {f"{version.name}.tar.gz": base64.b64encode(version.archive).decode() for version in trained.versions}
    digests = "".join(version.digest for version in trained.versions)
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/enforce-version": "latest",
                },
            },
        },
        _config_map("store", {}) | {"binaryData": archives},
        _config_map("caller", {"caller.py": CALLER.read_text(), "rows.jsonl": _rows(trained)}),
        _deployment("store", ["python", "-m", "http.server", str(STORE_PORT), "--directory", "/files"], digests),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata("store"),
            "spec": {"selector": {"app": "store"}, "ports": [{"port": 80, "targetPort": STORE_PORT}]},
        },
    ]


def callers(trained: Trained) -> Json:
    """The pod that sends rows to the model's Service."""
    command = ["python", "/files/caller.py", MODEL, MODEL, str(RATE), "/files/rows.jsonl"]
    return _deployment("caller", command, CALLER.read_text() + _rows(trained))


def _rows(trained: Trained) -> str:
    return "\n".join(trained.requests) + "\n"


def model_deployment(version: Version) -> Json:
    """The one object that a user of Penstock writes."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": _metadata(MODEL),
        "spec": {
            "model": {
                "uri": f"http://store.{NAMESPACE}.svc.cluster.local/{version.name}.tar.gz",
                "digest": version.digest,
            },
            "runtime": {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}},
            # Cluster, models and callers share one small machine: an answer may take its time when another process starts.
            "traffic": {"tryTimeout": "3s"},
            "rollout": {"steps": list(STEPS)},
        },
    }


def _metadata(name: str) -> Json:
    return {"name": name, "namespace": NAMESPACE}


def _config_map(name: str, data: Mapping[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name), "data": dict(data)}


def _deployment(name: str, command: Sequence[str], files: str) -> Json:
    """One pod of the serving image over the ConfigMap of its name; another one when what the files are changes, because
    a running pod would see that only a minute later."""
    content = hashlib.sha256(files.encode()).hexdigest()
    container = {
        "name": name,
        "image": SERVING_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "files", "mountPath": "/files", "readOnly": True}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": {"penstock.dev/files": content}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [{"name": "files", "configMap": {"name": name}}],
                },
            },
        },
    }
