"""`spec.service`: the Service that callers use."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api.base import Part

SERVICE_GRPC_PORT = 8001
"""Port of the Service that says to proxies that it is for gRPC: the one that clients of the protocol know from Triton."""


class ServiceType(StrEnum):
    """How far a Service reaches."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class Service(Part):
    """The Service that callers use. It has the name of this object."""

    type: ServiceType = ServiceType.CLUSTER_IP
    """How far the Service reaches."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 80
    """Port of the Service, for HTTP/1.1, HTTP/2 in clear text and gRPC. A Service of type ClusterIP has port 8001 besides,
    for proxies that must be told that they speak gRPC; 8001 here replaces that one."""
    annotations: Annotated[Mapping[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Annotations of the Service, for load balancers and the like."""
