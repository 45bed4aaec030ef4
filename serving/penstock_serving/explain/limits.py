"""What explaining may cost."""

from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """Who gets the CPU: others first, whatever they do, or the explaining process as the others."""

    IDLE = "idle"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the explaining process and of requests to it.

    `rows` of one request; `waiting` requests beside the one in work; `apart_seconds` between the beginnings of two while
    predictions are under way, or were a moment ago, since a question's way through the event loop costs as much as several
    predictions; `seconds` that one may take at most, of which CPU seconds are enforced by the kernel; `memory_bytes` of
    address space beyond what the process has when it is ready; `idle_seconds` without a request after which the process
    ends; `start_seconds` it may take to be ready; `predictions` asked for one row where the model is explained by asking
    it; `frame_bytes` of one question's content or of an answer's numbers in JSON; `priority` of the process among those of
    its container.
    """

    rows: int = 1_000
    waiting: int = 8
    apart_seconds: float = 0.01
    seconds: float = 30.0
    memory_bytes: int = 512 * 1024 * 1024
    idle_seconds: float = 300.0
    start_seconds: float = 60.0
    predictions: int = 200_000
    frame_bytes: int = 64 * 1024 * 1024
    priority: Priority = Priority.IDLE
