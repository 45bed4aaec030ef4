"""The Service that callers use: it leads to the router, at the port of this model."""

from penstock.api.names import COMPONENT_ROUTER, LABEL_COMPONENT, LABEL_ROUTER
from penstock.api.service import Service
from penstock.render.metadata import Owner, deployment_labels, metadata_of
from penstock.world import Manifest


def service(owner: Owner, spec: Service, router: str, router_port: int) -> Manifest:
    """The Service with the name of its ModelDeployment."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(owner.name, owner, deployment_labels(owner.name), spec.annotations),
        "spec": {
            "type": spec.type.value,
            "selector": {LABEL_ROUTER: router, LABEL_COMPONENT: COMPONENT_ROUTER},
            "ports": [{"name": "http", "port": spec.port, "protocol": "TCP", "targetPort": router_port}],
        },
    }
