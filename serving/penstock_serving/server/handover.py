"""From the event loop to predict threads and back, waking whoever waits once.

Both ways go by an eventfd. Reading or writing one lets go of the interpreter's lock before anybody sleeps or is woken;
a lock of Python's, or `call_soon_threadsafe`, wakes the other side while the lock is held, and on one core that side
gets up, finds the lock taken and lies down again.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Given(Generic[T]):
    """Things that were given and not taken, and an eventfd that counts them."""

    def __init__(self) -> None:
        self._given: deque[T] = deque()
        self._ready = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC)

    def put(self, thing: T) -> None:
        """Give a thing, from any thread."""
        self._given.append(thing)
        os.eventfd_write(self._ready, 1)

    def _next(self) -> T:
        os.eventfd_read(self._ready)
        return self._given.popleft()

    def __del__(self) -> None:
        os.close(self._ready)


class Handover(_Given[T]):
    """Things for threads that wait for them, each for one thread."""

    def get(self) -> T:
        """Wait for a thing."""
        return self._next()


class Handback(_Given[T]):
    """Things for the running event loop, which gives each to `take`. Once the loop is closed nobody takes them."""

    def __init__(self, take: Callable[[T], None]) -> None:
        super().__init__()
        asyncio.get_running_loop().add_reader(self._ready, lambda: take(self._next()))
