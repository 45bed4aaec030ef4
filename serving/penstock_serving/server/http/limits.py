"""What one caller, and all together, may make the server hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Sizes in bytes, times in seconds.

    `body` bounds one request's body, `bodies` all that are held at once. `outstanding` is the number (at
    least 2) of requests of one connection that may wait for their answers; reading stops there, and goes on at half of
    it.
    """

    body: int = 1 << 20
    bodies: int = 64 << 20
    head: int = 16 << 10
    headers: int = 100
    target: int = 8 << 10
    outstanding: int = 16
    connections: int = 10_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    linger_seconds: float = 2.0
    linger_bytes: int = 8 << 20


class BodyBudget:
    """The bytes of request bodies that are held. To be used from one event loop."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limits: HttpLimits) -> None:
        self._limit = max(limits.bodies, limits.body)
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes reserved now."""
        return self._held

    def reserve(self, size: int) -> bool:
        """Reserve bytes if there is room; a single body always fits."""
        if self._held + size > self._limit:
            return False
        self._held += size
        return True

    def release(self, size: int) -> None:
        """Give bytes back."""
        self._held -= size
