"""What tools conclude from an object: kstatus, by whose rules Flux waits, and `kubectl wait`.

Sources: sigs.k8s.io/cli-utils, pkg/kstatus: deletion first, then observedGeneration, then whichever of Reconciling and
Stalled is listed first as True, then Ready. k8s.io/kubectl, pkg/cmd/wait: a condition of a generation before the
object's is not looked at; the condition's own observedGeneration counts before that of the status.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class KStatus(StrEnum):
    """The conclusions of kstatus."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


def kstatus_of(document: Mapping[str, Any]) -> KStatus:
    """What kstatus concludes from a custom resource as the API server returns it."""
    metadata = document.get("metadata", {})
    if metadata.get("deletionTimestamp"):
        return KStatus.TERMINATING
    status = document.get("status") or {}
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return KStatus.IN_PROGRESS
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    for condition in conditions:
        match condition["type"], condition["status"]:
            case "Reconciling", "True":
                return KStatus.IN_PROGRESS
            case "Stalled", "True":
                return KStatus.FAILED
    ready = next((condition["status"] for condition in conditions if condition["type"] == "Ready"), "True")
    return KStatus.CURRENT if ready == "True" else KStatus.IN_PROGRESS


def kubectl_wait(document: Mapping[str, Any], condition: str = "Ready") -> bool:
    """Whether `kubectl wait --for=condition=<condition>` ends at once with this custom resource."""
    status = document.get("status") or {}
    found = next((it for it in status.get("conditions") or () if it["type"].lower() == condition.lower()), None)
    if found is None:
        return False
    generation = document.get("metadata", {}).get("generation")
    observed = found.get("observedGeneration", status.get("observedGeneration"))
    if generation is not None and observed is not None and observed < generation:
        return False
    return bool(found["status"].lower() == "true")
