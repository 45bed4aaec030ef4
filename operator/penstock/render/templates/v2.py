"""Version 2: as version 1, and the server answers gRPC at a port of its own."""

from penstock.api import contract
from penstock.api.modelrevision import ModelRevisionSpec
from penstock.api.runtime import Placement
from penstock.render.templates import v1
from penstock.world import Manifest


def pod_spec(revision: str, spec: ModelRevisionSpec, placement: Placement) -> Manifest:
    """The spec of the pods of one revision."""
    pod = v1.pod_spec(revision, spec, placement)
    return {**pod, "containers": [_with_grpc(container) for container in pod["containers"]]}


def _with_grpc(server: Manifest) -> Manifest:
    variable = {"name": contract.ENV_GRPC_PORT, "value": str(contract.SERVING_GRPC_PORT)}
    port = {"name": "grpc", "containerPort": contract.SERVING_GRPC_PORT}
    return {**server, "env": [*server["env"], variable], "ports": [*server["ports"], port]}
