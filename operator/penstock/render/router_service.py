"""A headless Service over the router's pods, by which their agents' counters are found."""

from penstock.api.contract import AGENT_PORT, SUPERVISOR_PORT
from penstock.api.names import COMPONENT_ROUTER
from penstock.render.metadata import Owner, metadata_of, router_labels
from penstock.world import Manifest


def router_service(owner: Owner, name: str) -> Manifest:
    """The Service; it also finds pods that are not ready, because their counters matter most."""
    labels = router_labels(owner.name, COMPONENT_ROUTER)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(name, owner, labels, {}),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": dict(labels),
            "ports": [
                {"name": name, "port": port, "protocol": "TCP", "targetPort": port}
                for name, port in (("agent", AGENT_PORT), ("supervisor", SUPERVISOR_PORT))
            ],
        },
    }
