"""Version 2: as version 1, but fetch can prove a compiled form again, and the server answers gRPC at a port of its own."""

from penstock.api import contract
from penstock.api.modelrevision import ModelRevisionSpec
from penstock.api.runtime import Placement
from penstock.api.scalars import Quantity
from penstock.render.templates import v1
from penstock.world import Manifest

_FETCH_MEMORY = Quantity("512Mi")


def pod_spec(revision: str, spec: ModelRevisionSpec, placement: Placement) -> Manifest:
    """The spec of the pods of one revision."""
    pod = v1.pod_spec(revision, spec, placement)
    fetch, *sidecars = pod["initContainers"]
    return {
        **pod,
        "initContainers": [_proving(fetch, spec), *sidecars],
        "containers": [_with_grpc(container) for container in pod["containers"]],
    }


def _proving(fetch: Manifest, spec: ModelRevisionSpec) -> Manifest:
    """It opens an estimator then, under the server's trust, and may hold of it what the server may hold.

    The pod asks for no more by that.
    """
    variables = [*fetch["env"], *v1.variables(v1.trusted(spec.trust))]
    most = max(_FETCH_MEMORY, spec.resources.limits.get("memory", _FETCH_MEMORY), key=lambda limit: limit.value)
    return {**fetch, "env": variables, "resources": {**fetch["resources"], "limits": {"memory": str(most)}}}


def _with_grpc(server: Manifest) -> Manifest:
    variable = {"name": contract.ENV_GRPC_PORT, "value": str(contract.SERVING_GRPC_PORT)}
    port = {"name": "grpc", "containerPort": contract.SERVING_GRPC_PORT}
    return {**server, "env": [*server["env"], variable], "ports": [*server["ports"], port]}
