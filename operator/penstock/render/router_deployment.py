"""The Deployment of a router: Envoy, and beside it the agent that configures and counts."""

from pathlib import Path

from penstock.api import contract
from penstock.api.names import COMPONENT_ROUTER, LABEL_MANAGED_BY, MANAGED_BY
from penstock.api.router import RouterSpec
from penstock.render.metadata import Owner, metadata_of, router_labels
from penstock.render.placement import placed, resources_of, spread
from penstock.render.security import container_security, pod_security
from penstock.router.envoy.bootstrap import arguments
from penstock.world import Defaults, Manifest

AGENT = "agent"
ENVOY = "envoy"

ENV_FOLDER = "PENSTOCK_ROUTER_FOLDER"
ENV_POD = "PENSTOCK_ROUTER_NAME"
ENV_TABLE_CONFIG_MAP = "PENSTOCK_TABLE_CONFIG_MAP"
ENV_TABLE_NAMESPACE = "PENSTOCK_TABLE_NAMESPACE"
ENV_DRAIN_SECONDS = "PENSTOCK_DRAIN_SECONDS"

_FOLDER = Path(contract.RUN_ROOT) / "router"
_CONCURRENCY = 1
_DRAIN_SECONDS = 60
_GRACE_SECONDS = 90
_TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
_AGENT_RESOURCES = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
_ENVOY_RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}}
"""What Envoy asks for when the Router says nothing. Without a limit: out of memory, it would take all traffic along."""
_SHARED = {"name": "router", "mountPath": str(_FOLDER)}
_TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108


def router_deployment(owner: Owner, name: str, spec: RouterSpec, defaults: Defaults) -> Manifest:
    """The Deployment. A new pod takes calls before an old one stops taking them."""
    labels = router_labels(owner.name, COMPONENT_ROUTER)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(name, owner, labels, {}),
        "spec": {
            "replicas": spec.replicas,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": {LABEL_MANAGED_BY: MANAGED_BY, **labels}},
                "spec": {
                    "serviceAccountName": name,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": _GRACE_SECONDS,
                    "securityContext": pod_security(),
                    **placed(spec.pod_template),
                    **spread(labels),
                    "initContainers": [_agent(name, defaults)],
                    "containers": [_envoy(spec, defaults)],
                    "volumes": [
                        {"name": "router", "emptyDir": {}},
                        {"name": "tmp", "emptyDir": {}},
                        {"name": "token", "projected": {"sources": _token_sources()}},
                    ],
                },
            },
        },
    }


def _agent(table: str, defaults: Defaults) -> Manifest:
    """A native sidecar: up before Envoy, whose first configuration it writes, and down after it, so that the last
    requests are counted."""
    return {
        "name": AGENT,
        "image": defaults.agent_image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["python", "-m", "penstock.router", "supervise"],
        "env": [
            {"name": ENV_FOLDER, "value": str(_FOLDER)},
            {"name": ENV_POD, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": ENV_TABLE_CONFIG_MAP, "value": table},
            {
                "name": ENV_TABLE_NAMESPACE,
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            },
            {"name": ENV_DRAIN_SECONDS, "value": str(_DRAIN_SECONDS)},
        ],
        "ports": [
            {"name": "agent", "containerPort": contract.AGENT_PORT},
            {"name": "supervisor", "containerPort": contract.SUPERVISOR_PORT},
        ],
        "startupProbe": _probe("/healthz", contract.AGENT_PORT, period=1, failures=120),
        "livenessProbe": _probe("/healthz", contract.SUPERVISOR_PORT, period=10, failures=6),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_SHARED, _TMP, {"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True}],
        "resources": _AGENT_RESOURCES,
    }


def _envoy(spec: RouterSpec, defaults: Defaults) -> Manifest:
    return {
        "name": ENVOY,
        "image": defaults.router_image if spec.image is None else str(spec.image),
        "imagePullPolicy": "IfNotPresent",
        "command": ["envoy", *arguments(_FOLDER / "envoy", _CONCURRENCY)],
        "ports": [{"name": "ready", "containerPort": contract.READY_PORT}],
        "readinessProbe": _probe(contract.READY_PATH, contract.READY_PORT, period=1, failures=2),
        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": contract.SUPERVISOR_PORT}}},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_SHARED, _TMP],
        "resources": resources_of(spec.resources) or _ENVOY_RESOURCES,
    }


def _probe(path: str, port: int, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": max(1, period // 2),
        "failureThreshold": failures,
    }


def _token_sources() -> list[Manifest]:
    """What a pod gets by itself when it asks for its account's token, here for the agent alone."""
    return [
        {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
