"""The ConfigMap with the routing table, which the router's agents watch."""

from penstock.api.names import COMPONENT_ROUTER
from penstock.render.metadata import Owner, metadata_of, router_labels
from penstock.world import Manifest

TABLE_KEY = "table.json"


def router_table(owner: Owner, name: str, text: str) -> Manifest:
    """The table as text."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata_of(name, owner, router_labels(owner.name, COMPONENT_ROUTER), {}),
        "data": {TABLE_KEY: text},
    }
