"""The Router that a namespace gets when it has models and no Router."""

from penstock.api.names import API_VERSION, LABEL_MANAGED_BY, MANAGED_BY
from penstock.world import Manifest


def router_object(namespace: str, name: str) -> Manifest:
    """A Router with nothing but its name. It belongs to no model: it goes when the last one is gone."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Router",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL_MANAGED_BY: MANAGED_BY}},
    }
