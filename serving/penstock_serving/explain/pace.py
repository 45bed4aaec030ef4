"""Giving way under a CPU quota, which throttles a whole container whatever the priorities inside it.

The kernel counts the periods in which the container was throttled (cgroup v2 and v1, `cpu.stat`, `nr_throttled`). When
that number grows, the share of time that is worked is halved, down to a tenth; while it does not, the share grows
back slowly. So explaining takes what the quota leaves, and nearly nothing where predicting wants all of it.
"""

import time
from collections.abc import Callable
from pathlib import Path

_FILES = (Path("/sys/fs/cgroup/cpu.stat"), Path("/sys/fs/cgroup/cpu/cpu.stat"))
_LOOK_SECONDS = 0.1
_LEAST, _MORE = 0.1, 0.05
_LONGEST_REST = 1.0


def cpu_stat() -> Path | None:
    """The container's `cpu.stat`; None where there is none."""
    return next((path for path in _FILES if path.exists()), None)


def throttled(stat: Path | None) -> int:
    """In how many periods the container was throttled so far; 0 where that is not told."""
    if stat is None:
        return 0
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("nr_throttled ")), 0)


class Pace:
    """How much of the time is worked; `rest` is to be called between pieces of work."""

    def __init__(
        self,
        stat: Path | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._stat, self._clock, self._sleep = stat, clock, sleep
        self._seen = throttled(stat)
        self._began = clock()
        self.share = 1.0

    def rest(self) -> None:
        """Sleep as long as the present share asks for, at most a second; look at the counter ten times a second."""
        worked = self._clock() - self._began
        if worked < _LOOK_SECONDS:
            return
        now = throttled(self._stat)
        self.share = max(_LEAST, self.share / 2) if now > self._seen else min(1.0, self.share + _MORE)
        self._seen = now
        if self.share < 1.0:
            self._sleep(min(worked * (1 / self.share - 1), _LONGEST_REST))
        self._began = self._clock()

    def begin(self) -> None:
        """Work begins after a wait: the wait is no work."""
        self._began = self._clock()
