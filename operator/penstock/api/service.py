"""`spec.service`: the Service that callers use."""

from enum import StrEnum

from penstock.api.base import Part


class ServiceType(StrEnum):
    """How far the Service reaches."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class Service(Part):
    """The Service that callers use."""

    type: ServiceType = ServiceType.CLUSTER_IP
    """How far the Service reaches."""
