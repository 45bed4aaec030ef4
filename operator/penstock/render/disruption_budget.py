"""How many router pods a node's drain may take at once."""

from penstock.api.names import COMPONENT_ROUTER
from penstock.render.metadata import Owner, metadata_of, router_labels
from penstock.world import Manifest


def router_disruption_budget(owner: Owner, name: str) -> Manifest:
    """One pod at a time, also when there is only one: a budget that allows none would block every drain."""
    labels = router_labels(owner.name, COMPONENT_ROUTER)
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata_of(name, owner, labels, {}),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(labels)}},
    }
