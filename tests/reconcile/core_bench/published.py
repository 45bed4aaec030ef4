"""What is published of a status, checked on the documents alone: kstatus, `kubectl wait` and the table of phases.

Shared by everything that records statuses; nothing here is taken from the operator but the two tools' own rules.
"""

from collections.abc import Mapping
from typing import Any

from penstock.api.kstatus import kstatus_of, kubectl_wait

Document = Mapping[str, Any]

TABLE = {
    "Starting": ("Unknown", "Reconciling", "InProgress"),
    "Releasing": ("Unknown", "Reconciling", "InProgress"),
    "Holding": ("Unknown", "Reconciling", "InProgress"),
    "Paused": ("Unknown", "Reconciling", "InProgress"),
    "Stable": ("True", None, "Current"),
    "Watching": ("True", None, "Current"),
    "RolledBack": ("False", "Stalled", "Failed"),
    "DeadlineExceeded": ("False", "Stalled", "Failed"),
    "Refused": ("False", "Stalled", "Failed"),
    "Failed": ("False", "Stalled", "Failed"),
    "Unavailable": ("False", "Reconciling", "InProgress"),
}
"""By phase: Ready, the one of Reconciling and Stalled that is there, and what kstatus concludes."""
SERVING = TABLE | dict.fromkeys(("Releasing", "Holding", "Paused"), ("True", None, "Current"))
"""The same with `readyWhen: Serving`."""
MAX_BYTES = 16 * 1024


def assert_published(document: Document) -> None:
    """Raise AssertionError when an object of ours has a status that tools would read otherwise than is published."""
    status = document["status"]
    if "conditions" not in status:
        assert not kubectl_wait(document), "nobody has looked at it yet"
        assert kstatus_of(document) in {"InProgress", "Terminating"}
        return
    conditions = {it["type"]: it for it in status["conditions"]}
    assert len(conditions) == len(status["conditions"]), "a condition occurs twice"
    for it in conditions.values():
        assert it["status"] in {"True", "False", "Unknown"}
        assert it["message"]
        assert it["reason"]
        assert it["observedGeneration"] == status["observedGeneration"]
    present = {kind for kind in ("Reconciling", "Stalled") if kind in conditions}
    assert len(present) <= 1, "nothing can be under way and stuck"
    assert all(conditions[kind]["status"] == "True" for kind in present), "they are there only while they are True"
    ready = conditions["Ready"]["status"]
    assert (ready == "True") == (not present), f"Ready is {ready} beside {present or 'nothing'}"
    check = {"ModelDeployment": _deployment, "Router": _router}[document["kind"]]
    check(document, status, ready, present)


def _deployment(document: Document, status: Document, ready: str, present: set[str]) -> None:
    metadata = document["metadata"]
    rollout = document["spec"].get("rollout")
    serving = isinstance(rollout, Mapping) and rollout.get("readyWhen") == "Serving"
    wanted, beside, concluded = (SERVING if serving else TABLE)[status["phase"]]
    newest = status["observedGeneration"] == metadata["generation"]
    assert status["observedGeneration"] <= metadata["generation"]
    assert status["message"]
    assert {"Available", "Released"} <= {it["type"] for it in status["conditions"]}
    if newest:
        # What an older spec was like is not known any more.
        assert (ready, present) == (wanted, set() if beside is None else {beside}), status["phase"]
    going = bool(metadata.get("deletionTimestamp"))
    assert kstatus_of(document) == ("Terminating" if going else concluded if newest else "InProgress")
    assert kubectl_wait(document) == (newest and wanted == "True")
    if ready == "True":
        available = next(it for it in status["conditions"] if it["type"] == "Available")
        assert available["status"] == "True", "it is ready though it does not serve"
        assert status["url"]
        assert status["stable"]["revision"]
    if status.get("candidate") and status.get("stable"):
        assert status["candidate"]["revision"] != status["stable"]["revision"]


def _router(document: Document, status: Document, ready: str, present: set[str]) -> None:
    newest = status["observedGeneration"] == document["metadata"]["generation"]
    assert ready == {"Stalled": "False", "Reconciling": "Unknown"}.get("".join(present), "True")
    assert kubectl_wait(document) == (newest and ready == "True")
    if newest and not document["metadata"].get("deletionTimestamp"):
        wanted = {"True": "Current", "False": "Failed", "Unknown": "InProgress"}[ready]
        assert kstatus_of(document) == wanted
