"""Which objects are watched, and what is to be reconciled when one of them changes."""

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.api.names import DEFAULT_ROUTER, LABEL_DEPLOYMENT, LABEL_MANAGED_BY, LABEL_ROUTER, MANAGED_BY
from penstock.cluster.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    NETWORK_POLICY,
    POD,
    ROLE_BINDING,
    ROUTER,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from penstock.reconcile.effects import Queue
from penstock.runtime.keys import Key
from penstock.world import Manifest

OURS = f"{LABEL_MANAGED_BY}={MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Watch:
    """A kind that is watched; `labels` selects its objects on the server, "" takes all."""

    kind: Kind
    labels: str = OURS


WATCHES = (
    Watch(MODEL_DEPLOYMENT, labels=""),
    Watch(ROUTER, labels=""),
    Watch(MODEL_REVISION, labels=""),
    Watch(DEPLOYMENT),
    Watch(POD),
    Watch(SERVICE),
    Watch(CONFIG_MAP),
    Watch(SERVICE_ACCOUNT),
    Watch(ROLE_BINDING),
    Watch(NETWORK_POLICY),
    Watch(DISRUPTION_BUDGET),
)


def is_watched(watch: Watch, document: Manifest) -> bool:
    """Whether the watch of its kind tells of this object."""
    labels = (document.get("metadata") or {}).get("labels") or {}
    return not watch.labels or labels.get(LABEL_MANAGED_BY) == MANAGED_BY


def keys_for(kind: Kind, document: Manifest) -> Iterator[Key]:
    """What to reconcile when this object appeared, changed or went."""
    metadata = document["metadata"]
    namespace = metadata["namespace"]
    labels = metadata.get("labels") or {}
    if kind is MODEL_DEPLOYMENT:
        yield Key(Queue.DEPLOYMENT, namespace, metadata["name"])
        yield Key(Queue.ROUTER, namespace, DEFAULT_ROUTER)
        return
    if kind is ROUTER:
        yield Key(Queue.ROUTER, namespace, metadata["name"])
        return
    router = labels.get(LABEL_ROUTER)
    deployment = document["spec"]["deployment"] if kind is MODEL_REVISION else labels.get(LABEL_DEPLOYMENT)
    if deployment:
        yield Key(Queue.DEPLOYMENT, namespace, deployment)
    if kind is MODEL_REVISION:
        # The router's table is made of these records.
        yield Key(Queue.ROUTER, namespace, DEFAULT_ROUTER)
    if router:
        yield Key(Queue.ROUTER, namespace, router)
