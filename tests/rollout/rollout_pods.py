"""Makes pods for tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.world import Container, ContainerRole, Exit, Pod

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def ended(code: int = 1, *, ago: float = 5, ran: float = 10, reason: str = "Error", message: str = "") -> Exit:
    """A process that ended so many seconds ago, after so many."""
    finished = NOW - timedelta(seconds=ago)
    return Exit(code, reason, message, finished - timedelta(seconds=ran), finished)


def server(exits: int = 0, last_exit: Exit | None = None, **changes: Any) -> Container:
    """The container of a model server, running unless it waits."""
    waiting = changes.pop("waiting", "")
    running = changes.pop("running", not waiting)
    return Container(
        "server", ContainerRole.MAIN, running, waiting, changes.pop("waiting_message", ""), exits, last_exit
    )


def fetch(exits: int = 1, last_exit: Exit | None = None, waiting: str = "", waiting_message: str = "") -> Container:
    """The container that fetches a model."""
    return Container("fetch", ContainerRole.INIT, False, waiting, waiting_message, exits, last_exit)


def monitor(exits: int = 0, last_exit: Exit | None = None, waiting: str = "") -> Container:
    """The helper beside a model server."""
    return Container("monitor", ContainerRole.SIDECAR, not waiting, waiting, "", exits, last_exit)


def pod(*containers: Container, name: str = "fraud-1", ready: bool = False, **changes: Any) -> Pod:
    """A pod on a healthy node."""
    fields: dict[str, Any] = {
        "name": name,
        "uid": name,
        "revision": "fraud-0123456789",
        "address": "10.0.0.1",
        "phase": "Running",
        "ready": ready,
        "deleting": False,
        "created_at": NOW - timedelta(minutes=5),
        "node": "n1",
        "unschedulable": "",
        "disruption": "",
        "containers": containers or (server(),),
    }
    return Pod(**(fields | changes))


def well(count: int, **changes: Any) -> tuple[Pod, ...]:
    """Ready pods."""
    return tuple(pod(name=f"well-{number}", ready=True, **changes) for number in range(count))
