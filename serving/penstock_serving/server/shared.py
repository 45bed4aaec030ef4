"""What workers know of one another: each tells its counts in a memory that all of them hold.

A worker that is asked tells at once, on its event loop; one that does not answer for a quarter of a second is known by
what it told last, at most a fifth of a second before. A worker that takes another's place goes on from what that one
told last, so totals never go back.
"""

import asyncio
import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable

from penstock_serving.server.counts import Counts, total, unpack

_COPY_BYTES = 64 << 10
_HEADER = struct.Struct("<QII")  # how often it was told, length, checksum
_TELL_SECONDS = 0.2
_ANSWER_SECONDS = 0.25
_LOOK_SECONDS = 0.001
_READY = 1
_REPLACED = slice(8, 16)


class Shared:
    """A slot for each worker: what it told, whether it has been ready, and a way to ask it. Made before the workers are."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, 2 * workers * _COPY_BYTES)
        self._state = mmap.mmap(-1, mmap.PAGESIZE)
        self._asks = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]

    @property
    def ever_ready(self) -> bool:
        """Whether any worker has been ready."""
        return self._state[0] == _READY

    def now_ready(self) -> None:
        """This worker is ready."""
        self._state[0] = _READY

    @property
    def replaced(self) -> int:
        """How many workers died and were replaced."""
        return int.from_bytes(self._state[_REPLACED], "little")

    def replace(self) -> None:
        """One more worker died; only the first process counts."""
        self._state[_REPLACED] = (self.replaced + 1).to_bytes(8, "little")

    def ask(self, slot: int) -> None:
        """Ask the worker of a slot to tell its counts."""
        os.eventfd_write(self._asks[slot], 1)

    def asked(self, slot: int) -> int:
        """What becomes readable when the worker of a slot is asked."""
        return self._asks[slot]

    def times(self, slot: int) -> int:
        """How often the worker of a slot has told."""
        return max(self._times(start) for start in _copies(slot))

    def tell(self, slot: int, counts: Counts) -> None:
        """Put counts in a slot; only its worker does so. The copy before is left as it was, should this be cut short."""
        content, times = counts.pack(), self.times(slot)
        start = min(_copies(slot), key=self._times)
        if len(content) > _COPY_BYTES - _HEADER.size:
            return
        self._memory[start + _HEADER.size : start + _HEADER.size + len(content)] = content
        _HEADER.pack_into(self._memory, start, times + 1, len(content), zlib.crc32(content))

    def told(self, slot: int) -> Counts:
        """What the worker of a slot told last; nothing if it never did."""
        for start in sorted(_copies(slot), key=self._times, reverse=True):
            times, length, checksum = _HEADER.unpack_from(self._memory, start)
            content = self._memory[start + _HEADER.size : start + _HEADER.size + length]
            if times and zlib.crc32(content) == checksum:
                return unpack(content)
        return Counts()

    def _times(self, start: int) -> int:
        times: int = _HEADER.unpack_from(self._memory, start)[0]
        return times


def _copies(slot: int) -> tuple[int, int]:
    """Where the two copies of a slot begin."""
    return 2 * slot * _COPY_BYTES, (2 * slot + 1) * _COPY_BYTES


class Telling:
    """One worker's side: tells its own counts, and adds up all workers'."""

    def __init__(self, shared: Shared, slot: int, own: Callable[[], Counts]) -> None:
        self._shared, self._slot, self._own = shared, slot, own
        before = shared.told(slot)
        before.in_flight = 0
        before.startup = {}
        self._before = before
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Tell the others, if there are any, whenever asked and five times a second; on the running event loop."""
        if self._shared.workers == 1:
            return
        asyncio.get_running_loop().add_reader(self._shared.asked(self._slot), self._answer)
        self._again()

    def stop(self) -> None:
        """Tell a last time."""
        if self._timer is None:
            return
        self._timer.cancel()
        asyncio.get_running_loop().remove_reader(self._shared.asked(self._slot))
        self._tell()

    def totals(self) -> Counts:
        """All workers' counts, as they are now. May wait for a quarter of a second, so not for the event loop."""
        if self._shared.workers == 1:
            return self._counts()
        slots = range(self._shared.workers)
        times = [self._shared.times(slot) for slot in slots]
        for slot in slots:
            # This worker's own too: a total that was seen must not go back should it be killed right after.
            self._shared.ask(slot)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline and any(self._shared.times(slot) == times[slot] for slot in slots):
            time.sleep(_LOOK_SECONDS)
        found = total([self._counts(), *(self._shared.told(slot) for slot in slots if slot != self._slot)])
        found.replaced = self._shared.replaced
        return found

    def _counts(self) -> Counts:
        return total([self._before, self._own()])

    def _again(self) -> None:
        self._tell()
        self._timer = asyncio.get_running_loop().call_later(_TELL_SECONDS, self._again)

    def _answer(self) -> None:
        os.eventfd_read(self._shared.asked(self._slot))
        self._tell()

    def _tell(self) -> None:
        self._shared.tell(self._slot, self._counts())
