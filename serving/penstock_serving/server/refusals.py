"""Turning requests away without spending the time on it that the others need.

A refusal costs about as much as a request for a fast model. Those who are told at once that the server is too busy come
back at once, and the server does nothing but refuse. So only some are told at once; the rest a little later, and
meanwhile their connections are silent. Nobody waits for much longer than a quarter of a second.
"""

import asyncio
from collections import deque
from collections.abc import Callable

_EVERY_SECONDS = 0.01
_AT_ONCE = 20
_SHARE = 20


class Refusals:
    """Calls what answers a refusal: for the first `_AT_ONCE` of every hundredth of a second at once, then paced."""

    def __init__(self) -> None:
        self._later: deque[Callable[[], None]] = deque()
        self._left = _AT_ONCE
        self._timer: asyncio.TimerHandle | None = None

    def turn_away(self, answer: Callable[[], None]) -> None:
        """Call `answer`, now or soon."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_SECONDS, self._tick)
        if self._left and not self._later:
            self._left -= 1
            answer()
        else:
            self._later.append(answer)

    def _tick(self) -> None:
        later = self._later
        for _ in range(min(len(later), max(_AT_ONCE, len(later) // _SHARE))):
            later.popleft()()
        self._left = _AT_ONCE
        self._timer = asyncio.get_running_loop().call_later(_EVERY_SECONDS, self._tick) if later else None
