"""Small facts in the API server's documents that no kind of snapshot is made of."""

from penstock.world import Manifest

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def trouble_of_node(document: Manifest) -> str:
    """Why a node is not well, empty when it is. A node that nothing is known of is not well."""
    status = document.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        return f"NotReady ({ready.get('reason') or 'nothing known'})"
    return next((name for name in _PRESSURES if conditions.get(name, {}).get("status") == "True"), "")


def is_terminating(namespace: Manifest | None) -> bool:
    """Whether nothing can be made in a namespace any more, because it is being deleted or gone."""
    return namespace is None or bool((namespace.get("metadata") or {}).get("deletionTimestamp"))
