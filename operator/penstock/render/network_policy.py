"""Who may reach the pods. A cluster without a policy engine ignores these."""

from penstock.api import contract
from penstock.api.names import (
    COMPONENT_ROUTER,
    COMPONENT_SERVER,
    FIRST_MODEL_PORT,
    LABEL_COMPONENT,
    LABEL_DEPLOYMENT,
    LABEL_ROUTER,
    LAST_MODEL_PORT,
)
from penstock.render.metadata import Owner, deployment_labels, metadata_of, router_labels
from penstock.world import Manifest

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def serving_network_policy(owner: Owner) -> Manifest:
    """Predictions come from the namespace's routers only; counters may be read from anywhere in the cluster."""
    return _policy(
        metadata_of(owner.name, owner, deployment_labels(owner.name), {}),
        {LABEL_DEPLOYMENT: owner.name, LABEL_COMPONENT: COMPONENT_SERVER},
        [
            {
                "from": [{"podSelector": {"matchLabels": {LABEL_COMPONENT: COMPONENT_ROUTER}}}],
                "ports": [_port(contract.SERVING_PORT), _port(contract.SERVING_GRPC_PORT)],
            },
            {
                "from": [{"namespaceSelector": {}}],
                "ports": [_port(contract.SERVING_METRICS_PORT), _port(contract.MONITOR_METRICS_PORT)],
            },
        ],
    )


def router_network_policy(owner: Owner, name: str, operator_namespace: str) -> Manifest:
    """Anybody may call the models; only the operator's namespace may ask the agent."""
    return _policy(
        metadata_of(name, owner, router_labels(owner.name, COMPONENT_ROUTER), {}),
        {LABEL_ROUTER: owner.name, LABEL_COMPONENT: COMPONENT_ROUTER},
        [
            {"ports": [{"protocol": "TCP", "port": FIRST_MODEL_PORT, "endPort": LAST_MODEL_PORT}]},
            {
                "from": [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: operator_namespace}}}],
                "ports": [_port(contract.AGENT_PORT), _port(contract.SUPERVISOR_PORT)],
            },
        ],
    )


def _policy(metadata: Manifest, pods: Manifest, ingress: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {"podSelector": {"matchLabels": pods}, "policyTypes": ["Ingress"], "ingress": ingress},
    }


def _port(number: int) -> Manifest:
    return {"protocol": "TCP", "port": number}
