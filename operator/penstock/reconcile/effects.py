"""What a pass of the core wants done, in order. Data; `cluster` carries it out and stops at the first that fails.

A pass is level-based: whatever was done, not done, or done without an answer, the next pass from a fresh snapshot goes
on to the same end. The order matters: traffic first, the status last.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from penstock.api.router import RouterStatus
from penstock.api.status import ModelDeploymentStatus
from penstock.world import Manifest


@dataclass(frozen=True, slots=True)
class Ref:
    """Which object."""

    api_version: str
    kind: str
    namespace: str
    name: str


def ref_of(manifest: Manifest) -> Ref:
    """Which object a manifest is of."""
    metadata = manifest["metadata"]
    return Ref(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object that was absent, and touch none that is there after all: that ends the pass, look again.

    Its fields must count as applied by our manager (a POST's do not, and no apply could ever take one away).
    """

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply, forced, by the one field manager, to an object of ours.

    The manifest carries `metadata.uid` and, where the core decided by what it read, `metadata.resourceVersion`. Another
    version is answered with 409, another uid with 422 (metadata.uid is immutable): both end the pass, look again. `why`
    is the first difference, for the log.
    """

    manifest: Manifest
    why: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, in the background, with its uid as precondition. That it is gone already is as good."""

    ref: Ref
    uid: str
    why: str


@dataclass(frozen=True, slots=True)
class Status:
    """Replace the status of an object, on the status subresource, if its resourceVersion is still this one.

    It must not be a PUT with less than the whole metadata: that takes labels and annotations from the managers that own
    them, and what a user later removes from Git would stay for ever (tried). A JSON patch of `/status` that sets
    `/metadata/resourceVersion` to the one read touches nothing else, and is answered with 409 when it is another by now.

    `epoch` is the status' own, for the log; it never falls.
    """

    ref: Ref
    uid: str
    resource_version: str
    status: ModelDeploymentStatus | RouterStatus
    epoch: int


class EventType(StrEnum):
    """How an Event is shown."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """Tell people of one transition (events.k8s.io/v1).

    `name` is the same whenever the same transition is told, so a repetition after a crash meets AlreadyExists, which is
    success: each is told once. `note` has at most 1,024 bytes.
    """

    name: str
    regarding: Ref
    uid: str
    type: EventType
    reason: str
    action: str
    note: str


class Queue(StrEnum):
    """Which reconcile a key is for."""

    DEPLOYMENT = "ModelDeployment"
    ROUTER = "Router"


@dataclass(frozen=True, slots=True)
class Requeue:
    """Reconcile this again after so long, unless something happens before; 0 is now."""

    queue: Queue
    namespace: str
    name: str
    after: timedelta


Effect = Create | Apply | Delete | Status | Event | Requeue
