"""Metadata of the objects that are made: who owns them, how they are found."""

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.api.names import LABEL_COMPONENT, LABEL_DEPLOYMENT, LABEL_MANAGED_BY, LABEL_ROUTER, MANAGED_BY
from penstock.world import Manifest


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that another one is made for, and is removed with."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def metadata_of(name: str, owner: Owner, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    """`metadata` of an owned object. Deletion of the owner is not blocked by it: nothing waits for anything."""
    reference = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }
    made: dict[str, object] = {
        "name": name,
        "namespace": owner.namespace,
        "labels": {LABEL_MANAGED_BY: MANAGED_BY, **labels},
        "ownerReferences": [reference],
    }
    return made | ({"annotations": dict(annotations)} if annotations else {})


def deployment_labels(deployment: str) -> Mapping[str, str]:
    """Labels of everything that belongs to a ModelDeployment."""
    return {LABEL_DEPLOYMENT: deployment}


def router_labels(router: str, component: str) -> Mapping[str, str]:
    """Labels of everything that belongs to a Router."""
    return {LABEL_ROUTER: router, LABEL_COMPONENT: component}
