"""The Service that callers use: it leads to the router, at the port of this model.

The router answers HTTP/1.1, HTTP/2 and gRPC at one port, and so does each port here. Inside a cluster there are two,
because an Ingress or a Gateway learns from a port what to speak to it: over `http` it goes on as it always did, and `grpc`
says that it is HTTP/2 in clear text, without which a proxy would break gRPC.
"""

from collections.abc import Iterable

from penstock.api.contract import PORT_GRPC, PORT_HTTP
from penstock.api.names import COMPONENT_ROUTER, LABEL_COMPONENT, LABEL_ROUTER
from penstock.api.service import SERVICE_GRPC_PORT, Service, ServiceType
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
            "ports": list(_ports(spec, router_port)),
        },
    }


def _ports(spec: Service, router_port: int) -> Iterable[Manifest]:
    """What reaches out of the cluster has the one port that was asked for. A Service has each number once: who chooses that
    of gRPC for all has one port too, with the protocol left open."""
    yield {"name": PORT_HTTP, "port": spec.port, "protocol": "TCP", "targetPort": router_port}
    if spec.type is ServiceType.CLUSTER_IP and spec.port != SERVICE_GRPC_PORT:
        yield {
            "name": PORT_GRPC,
            "port": SERVICE_GRPC_PORT,
            "protocol": "TCP",
            "appProtocol": "kubernetes.io/h2c",
            "targetPort": router_port,
        }
