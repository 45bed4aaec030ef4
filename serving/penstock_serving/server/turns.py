"""Whose turn it is to call the model: no more callers at once than there are predict threads, whichever way they come.

A model was never asked by more threads than that, and need not bear it. The native lane calls models that are not
compiled from threads of its own, so both ways share these turns, in the order in which they ask for them.
"""

import threading
import time
from collections import deque
from types import TracebackType


class Turns:
    """So many turns: `with turns:` waits for one. Knows for how long the model has been in its calls."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._began: dict[int, float] = {}

    def __enter__(self) -> None:
        mine = None
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                mine = threading.Lock()
                mine.acquire()
                self._waiting.append(mine)
        if mine is not None:
            mine.acquire()
        self._began[threading.get_ident()] = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._began[threading.get_ident()]
        with self._lock:
            if self._waiting:
                # Handed on, not let go: who has just had a turn would be the quickest to take another.
                self._waiting.popleft().release()
            else:
                self._free += 1

    def held_up_seconds(self, now: float) -> float:
        """For how long, at `now` (monotonic seconds), every turn has been one call; 0 where one is free."""
        began = tuple(self._began.values())
        return now - max(began) if len(began) == self._most else 0.0
