"""What the API server's audit log says of the operator."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from operator_bench.process import USER

MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})

Event = dict[str, Any]


class Trail:
    """The operator's requests, read from the log as it grows."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = 0
        self._events: list[Event] = []

    def events(self) -> list[Event]:
        """Every answered request of the operator so far, oldest first."""
        with self._log.open("rb") as lines:
            lines.seek(self._read)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if USER.encode() in line and (event := json.loads(line))["user"]["username"] == USER:
                    self._events.append(event)
        return self._events

    def writes(self, namespace: str = "") -> list[Event]:
        """Its mutating requests so far, in one namespace or in all, refused ones too."""
        return [event for event in self.events() if _is_write(event, namespace)]

    def rests(self, namespace: str, seconds: float) -> bool:
        """Whether the operator writes nothing in the namespace for so long from now."""
        before = len(self.writes(namespace))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self.writes(namespace)) != before:
                return False
            time.sleep(0.2)
        return True

    def denials(self) -> Iterator[Event]:
        """Requests that it had no right to make."""
        return (e for e in self.events() if e.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid")


def _is_write(event: Event, namespace: str) -> bool:
    return event["verb"] in MUTATING and namespace in ("", event.get("objectRef", {}).get("namespace"))


def told(event: Event) -> str:
    """An event in one line."""
    ref = event.get("objectRef", {})
    what = "/".join(filter(None, (ref.get("resource"), ref.get("subresource"), ref.get("name"))))
    return f"{event['stageTimestamp']} {event['verb']} {what} {event['responseStatus'].get('code')}"
