"""Counters that outlive the process that counts.

They live in memory that the supervisor holds. Two copies and a pointer to the valid one: a datagram is counted into the
other copy, then the pointer is moved, one aligned store. Wherever the process is killed, a datagram is counted whole or
not at all, and the next process goes on from the last whole one.
"""

import mmap
import os
import threading

import numpy as np
import numpy.typing as npt

from penstock_serving.monitor.layout import PAGE_WORDS, Layout
from penstock_serving.monitor.restarts import RESTARTS

Counters = npt.NDArray[np.int64]

_ACTIVE = 1
_FINGERPRINT = 2


class State:
    """The counters in the shared memory behind a file descriptor. One process writes; its threads may read."""

    def __init__(self, handle: int, layout: Layout) -> None:
        if os.fstat(handle).st_size < layout.total_bytes:
            os.ftruncate(handle, layout.total_bytes)
        self._memory = mmap.mmap(handle, layout.total_bytes)
        words: Counters = np.frombuffer(self._memory, dtype=np.int64)
        self._header = words[:PAGE_WORDS]
        copies = words[PAGE_WORDS:]
        self._copies = (copies[: layout.words], copies[layout.words :])
        self._lock = threading.Lock()
        if int(self._header[_FINGERPRINT]) != layout.fingerprint:
            copies[:] = 0
            self._header[_ACTIVE] = 0
            self._header[_FINGERPRINT] = layout.fingerprint

    @property
    def restarts(self) -> int:
        """How often the supervisor started the counting process again."""
        return int(self._header[RESTARTS])

    def begin(self) -> Counters:
        """The copy to change: equal to the valid one, which it does not touch."""
        active = int(self._header[_ACTIVE])
        target = self._copies[1 - active]
        np.copyto(target, self._copies[active])
        return target

    def commit(self) -> None:
        """Make the changed copy the valid one."""
        with self._lock:
            self._header[_ACTIVE] = 1 - int(self._header[_ACTIVE])

    def snapshot(self) -> Counters:
        """A copy of the valid counters."""
        with self._lock:
            valid: Counters = self._copies[int(self._header[_ACTIVE])].copy()
            return valid
