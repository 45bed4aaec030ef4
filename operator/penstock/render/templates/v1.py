"""Version 1: an init container fetches the model and proves its digest and, where versions changed, its compiled form; a
native sidecar counts; the server answers HTTP and gRPC, each at a port of its own."""

import urllib.parse
from collections.abc import Mapping

from penstock.api import contract
from penstock.api.modelrevision import ModelRevisionSpec
from penstock.api.names import LABEL_REVISION
from penstock.api.runtime import Placement, Trust, VersionMismatch
from penstock.api.scalars import Quantity
from penstock.api.signing import SignedBy
from penstock.api.traffic import MAX_BODY
from penstock.render.placement import placed, resources_of, spread
from penstock.render.security import container_security, pod_security
from penstock.world import Manifest

FETCH = "fetch"
MONITOR = "monitor"
SERVER = "server"

_MODELS = {"name": "models", "mountPath": contract.MODEL_ROOT}
_RUN = {"name": "run", "mountPath": contract.RUN_ROOT}
_TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108
_AUTHORITIES = "/etc/penstock/authorities"
_CA_KEY = "ca.crt"

_FETCH_REQUESTS = {"cpu": "50m", "memory": "64Mi"}
_FETCH_MEMORY = Quantity("512Mi")
_MONITOR_RESOURCES = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"memory": "128Mi"}}

_STARTS_WITHIN_SECONDS = 1800
_GRACE_SECONDS = 45
"""The server drains for up to 20 s by itself; the monitor ends after it."""


def pod_spec(revision: str, spec: ModelRevisionSpec, placement: Placement) -> Manifest:
    """The spec of the pods of one revision."""
    claim = _claim(spec.model.uri)
    access = spec.model.access
    account = {} if access.service_account_name is None else {"serviceAccountName": str(access.service_account_name)}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": pod_security(),
        **account,
        **placed(placement),
        **spread({LABEL_REVISION: revision}),
        "initContainers": [_fetch(spec, claim), _monitor(revision, spec)],
        "containers": [_server(revision, spec)],
        "volumes": [*_scratch(), *_claimed(claim), *_authorities(spec)],
    }


def _container(name: str, spec: ModelRevisionSpec, module: str) -> dict[str, object]:
    return {
        "name": name,
        "image": str(spec.image),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", module],
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _fetch(spec: ModelRevisionSpec, claim: str | None) -> Manifest:
    access = spec.model.access
    env = {contract.ENV_MODEL_URI: str(spec.model.uri), contract.ENV_MODEL_DIGEST: str(spec.model.digest)}
    # It opens an estimator to prove a form again: under the server's trust, and holding of it what the server may hold.
    env |= _signed(spec.model.signed_by) | _trusted(spec.trust)
    mounts: list[Manifest] = [_MODELS, _TMP]
    made = _container(FETCH, spec, "penstock_serving.fetch")
    if claim is not None:
        mounts.append({"name": "claim", "mountPath": f"{contract.VOLUME_ROOT}/{claim}", "readOnly": True})
    if access.ca_ref is not None:
        env[contract.ENV_CA_FILE] = f"{_AUTHORITIES}/{_CA_KEY}"
        mounts.append({"name": "authorities", "mountPath": _AUTHORITIES, "readOnly": True})
    if access.secret_ref is not None:
        made["envFrom"] = [{"secretRef": {"name": str(access.secret_ref.name)}}]
    return made | {"env": _variables(env), "volumeMounts": mounts, "resources": _fetch_resources(spec)}


def _fetch_resources(spec: ModelRevisionSpec) -> Manifest:
    """The pod asks for no more by a limit that its server has as well."""
    most = max(_FETCH_MEMORY, spec.resources.limits.get("memory", _FETCH_MEMORY), key=lambda limit: limit.value)
    return {"requests": _FETCH_REQUESTS, "limits": {"memory": str(most)}}


def _monitor(revision: str, spec: ModelRevisionSpec) -> Manifest:
    return _container(MONITOR, spec, "penstock_serving.monitor") | {
        "restartPolicy": "Always",
        "env": _variables(_identity(revision, spec)),
        "ports": [{"name": "monitor", "containerPort": contract.MONITOR_METRICS_PORT}],
        "volumeMounts": [{**_MODELS, "readOnly": True}, _RUN, _TMP],
        "resources": _MONITOR_RESOURCES,
    }


def _server(revision: str, spec: ModelRevisionSpec) -> Manifest:
    ports = {contract.ENV_GRPC_PORT: str(contract.SERVING_GRPC_PORT)}
    env = _identity(revision, spec) | {contract.ENV_MAX_BODY_BYTES: str(MAX_BODY.bytes)} | ports | _trusted(spec.trust)
    own = [{"name": str(variable.name), "value": variable.value} for variable in spec.env]
    return _container(SERVER, spec, "penstock_serving.server") | {
        "env": [*own, *_variables(env)],
        "ports": [
            {"name": contract.PORT_HTTP, "containerPort": contract.SERVING_PORT},
            {"name": contract.PORT_GRPC, "containerPort": contract.SERVING_GRPC_PORT},
            {"name": "metrics", "containerPort": contract.SERVING_METRICS_PORT},
        ],
        "startupProbe": _probe(contract.PATH_LIVE, period=1, failures=_STARTS_WITHIN_SECONDS),
        "livenessProbe": _probe(contract.PATH_LIVE, period=10, failures=6),
        "readinessProbe": _probe(contract.PATH_READY, period=2, failures=2),
        "volumeMounts": [{**_MODELS, "readOnly": True}, _RUN, _TMP],
        "resources": resources_of(spec.resources),
    }


def _probe(path: str, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": contract.SERVING_PORT},
        "periodSeconds": period,
        "timeoutSeconds": max(1, period // 2),
        "failureThreshold": failures,
    }


def _trusted(trust: Trust) -> dict[str, str]:
    """What is written of it alone: a pod says nothing of what nobody asked for."""
    types = {contract.ENV_SKOPS_TRUSTED: ",".join(map(str, trust.skops_types))} if trust.skops_types else {}
    if trust.scikit_learn_mismatch is VersionMismatch.REFUSE:
        return types
    return types | {contract.ENV_SCIKIT_LEARN_MISMATCH: trust.scikit_learn_mismatch.value.lower()}


def _signed(by: SignedBy | None) -> dict[str, str]:
    """What is asked for alone, for the same reason."""
    if by is None:
        return {}
    asked = {contract.ENV_SIGNED_BY_PUBLIC_KEY: by.public_key, contract.ENV_SIGNED_BY_AUTHORITIES: by.authorities}
    return {name: str(pem) for name, pem in asked.items() if pem is not None}


def _identity(revision: str, spec: ModelRevisionSpec) -> dict[str, str]:
    return {
        contract.ENV_MODEL_NAME: str(spec.deployment),
        contract.ENV_REVISION: revision,
        contract.ENV_MODEL_DIGEST: str(spec.model.digest),
    }


def _variables(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _scratch() -> list[Manifest]:
    return [{"name": name, "emptyDir": {}} for name in ("models", "run", "tmp")]


def _claim(uri: str) -> str | None:
    """The PersistentVolumeClaim that a pvc:// address names."""
    parts = urllib.parse.urlsplit(uri)
    return parts.netloc if parts.scheme == "pvc" else None


def _claimed(claim: str | None) -> list[Manifest]:
    if claim is None:
        return []
    return [{"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def _authorities(spec: ModelRevisionSpec) -> list[Manifest]:
    reference = spec.model.access.ca_ref
    if reference is None:
        return []
    return [
        {
            "name": "authorities",
            "configMap": {"name": str(reference.name), "items": [{"key": _CA_KEY, "path": _CA_KEY}]},
        }
    ]
