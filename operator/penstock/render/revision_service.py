"""A headless Service over the pods of one revision, by whose EndpointSlices the routers know their addresses."""

from penstock.api.contract import PORT_GRPC, PORT_HTTP, SERVING_GRPC_PORT, SERVING_PORT
from penstock.api.names import LABEL_DEPLOYMENT, LABEL_REVISION
from penstock.render.metadata import Owner, metadata_of
from penstock.world import Manifest


def revision_service(owner: Owner, revision: str) -> Manifest:
    """The Service with the name of its revision. Kubernetes copies its labels to the slices."""
    selector = {LABEL_DEPLOYMENT: owner.name, LABEL_REVISION: revision}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(revision, owner, selector, {}),
        "spec": {
            "clusterIP": "None",
            "selector": selector,
            "ports": [
                {"name": name, "port": port, "protocol": "TCP", "targetPort": port}
                for name, port in ((PORT_HTTP, SERVING_PORT), (PORT_GRPC, SERVING_GRPC_PORT))
            ],
        },
    }
