"""What a router's agent may do: read its table. A cluster role says it once for all namespaces."""

from penstock.api.names import COMPONENT_ROUTER
from penstock.render.metadata import Owner, metadata_of, router_labels
from penstock.world import Manifest

CLUSTER_ROLE = "penstock-router"
"""Ships with the operator, which may bind this role and no other."""


def router_service_account(owner: Owner, name: str) -> Manifest:
    """The account of the router's pods."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata_of(name, owner, router_labels(owner.name, COMPONENT_ROUTER), {}),
        "automountServiceAccountToken": False,
    }


def router_role_binding(owner: Owner, name: str) -> Manifest:
    """Lets that account read tables of its namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata_of(name, owner, router_labels(owner.name, COMPONENT_ROUTER), {}),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CLUSTER_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}],
    }
