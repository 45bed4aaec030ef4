"""What is to be done, and when. Pure: `now` is passed in (seconds that never go back).

A key waits once however often it is added; while it is being worked on it is not handed out again, and what was added
meanwhile is handed out after that. A time set for later is void as soon as the key is handed out, because the work will
set another. Failures put a key back later and later.
"""

import heapq
from dataclasses import dataclass, field

from penstock.runtime.keys import Key

FIRST_DELAY = 0.25
LONGEST_DELAY = 60.0


@dataclass(slots=True)
class Backlog:
    """`ready` holds, by key, since when it waits; `later` when it is due; `failures` in a row."""

    ready: dict[Key, float] = field(default_factory=dict)
    later: dict[Key, float] = field(default_factory=dict)
    working: dict[Key, float] = field(default_factory=dict)
    again: set[Key] = field(default_factory=set)
    failures: dict[Key, int] = field(default_factory=dict)
    _heap: list[tuple[float, Key]] = field(default_factory=list)

    def add(self, key: Key, now: float) -> None:
        """As soon as possible."""
        if key in self.working:
            self.again.add(key)
        else:
            self.ready.setdefault(key, now)

    def add_at(self, key: Key, due: float) -> None:
        """Not before `due`, unless it is added before; of several times the earliest counts."""
        if due < self.later.get(key, float("inf")):
            self.later[key] = due
            heapq.heappush(self._heap, (due, key))

    def next_due(self, now: float) -> float | None:
        """When the next key that waits for its time is due, None without one; what is due now becomes ready."""
        while self._heap:
            due, key = self._heap[0]
            if self.later.get(key) != due:
                heapq.heappop(self._heap)
            elif due <= now:
                heapq.heappop(self._heap)
                del self.later[key]
                self.add(key, due)
            else:
                return due
        return None

    def take(self, now: float) -> Key | None:
        """The key that has waited longest, now being worked on; None when none is ready."""
        self.next_due(now)
        if not self.ready:
            return None
        key = next(iter(self.ready))
        del self.ready[key]
        self.later.pop(key, None)
        self.working[key] = now
        return key

    def done(self, key: Key, now: float) -> None:
        """The work on a key has ended, well or not."""
        del self.working[key]
        if key in self.again:
            self.again.discard(key)
            self.ready.setdefault(key, now)

    def delay(self, key: Key, jitter: float) -> float:
        """How long to wait after one more failure in a row: twice as long each time, up to a minute.

        `jitter` in [0, 1) shortens it by up to a half, so that what failed together does not return together.
        """
        count = self.failures.get(key, 0)
        self.failures[key] = count + 1
        return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(count, 16))) * (1.0 - jitter / 2)

    def succeeded(self, key: Key) -> None:
        """The next failure is a first one again."""
        self.failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """There is nothing left to do for it."""
        self.failures.pop(key, None)
        self.later.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self.ready)

    def oldest(self, now: float) -> float:
        """Seconds that the longest waiting ready key has waited."""
        return now - min(self.ready.values()) if self.ready else 0.0

    def longest_work(self, now: float) -> float:
        """Seconds that the longest piece of work under way has taken."""
        return now - min(self.working.values()) if self.working else 0.0
