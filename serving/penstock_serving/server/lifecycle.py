"""Whether the server takes requests, and how it stops: nothing that was accepted is dropped."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

_NOTICE_SECONDS = 3.0
_QUIET_SECONDS = 2.0
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Lifecycle:
    """Whether the server is stopping, and what it has open. To be used from one event loop.

    `elsewhere` tells how many requests are open that did not come by here.
    """

    draining: bool = False
    open_requests: int = 0
    last_arrival: float = 0.0
    elsewhere: Callable[[], int] = int

    def arrived(self) -> None:
        """A prediction request arrived."""
        self.open_requests += 1
        self.last_arrival = time.monotonic()

    def left(self) -> None:
        """A prediction request was answered."""
        self.open_requests -= 1

    async def drain(self, limit_seconds: float) -> None:
        """Be not ready, go on answering, and return when no request is open and none arrived for two seconds.

        Endpoints and load balancers learn of a stop a little later than the pod does, so requests still arrive, for
        three seconds at least; they are answered, with the wish to close the connection. Returns after `limit_seconds`
        at the latest.
        """
        self.draining = True
        began = time.monotonic()
        self.last_arrival = max(self.last_arrival, began)
        while time.monotonic() - began < limit_seconds:
            now = time.monotonic()
            quiet = now - self.last_arrival >= _QUIET_SECONDS and now - began >= _NOTICE_SECONDS
            if quiet and not self.open_requests + self.elsewhere():
                return
            await asyncio.sleep(_LOOK_SECONDS)
