"""The backlog for workers that wait."""

import asyncio
from collections.abc import Callable

from penstock.runtime.backlog import Backlog
from penstock.runtime.keys import Key


class WorkQueue:
    """Hands out keys, one worker a key at a time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.backlog = Backlog()
        self._monotonic = monotonic
        self._changed = asyncio.Event()

    def add(self, key: Key) -> None:
        """As soon as possible."""
        self.backlog.add(key, self._monotonic())
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """After so many seconds, unless it is added before."""
        if seconds <= 0.0:
            self.add(key)
            return
        self.backlog.add_at(key, self._monotonic() + seconds)
        self._changed.set()

    async def take(self) -> Key:
        """Wait for a key. It must be given back with `done`."""
        while True:
            self._changed.clear()
            now = self._monotonic()
            key = self.backlog.take(now)
            if key is not None:
                if self.backlog.ready:
                    self._changed.set()
                return key
            due = self.backlog.next_due(now)
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """The work on a key has ended."""
        self.backlog.done(key, self._monotonic())
        self._changed.set()
