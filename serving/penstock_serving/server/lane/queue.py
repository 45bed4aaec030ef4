"""The lane as the event loop sees it: ordinary requests go in, and come back with answers."""

import asyncio
import select
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from penstock_serving.model.frame import Matrix

T = TypeVar("T")

_CLOSE_SECONDS = 1.0


class Round(NamedTuple):
    """What the lane computed together: requests, what the first of them and all of them waited for, seconds of the work's
    parts and in all."""

    requests: int
    waited: float
    queued: float
    read: float
    computed: float
    written: float
    seconds: float


class Returned(NamedTuple, Generic[T]):
    """What came back: tokens, their answers (None for a request that is not the lane's) and rows; `observed` [rows of all
    answers, columns + 1] for the monitor; rows and seconds of each call of the model; and the rounds it took."""

    tokens: Sequence[T]
    bodies: Sequence[bytes | None]
    rows: Sequence[int]
    observed: Matrix
    calls: Sequence[tuple[int, float]]
    rounds: Sequence[Round]


class Lane(Generic[T]):
    """Native threads that answer ordinary requests, each offered with a token. To be used from one event loop."""

    def __init__(self, native: Any, columns: int) -> None:
        self._native, self._width = native, columns + 1
        self._waking = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, take: Callable[[Returned[T]], None]) -> None:
        """Give what comes back to `take`, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._native.fileno(), lambda: take(self._take()))

    def offer(self, body: bytes, token: T) -> None:
        """Answer a request, together with what else arrives in the same moment."""
        self._native.offer(body, token)
        if not self._waking and self._loop is not None:
            self._waking = True
            self._loop.call_soon(self._wake)

    def ask(self, bodies: Sequence[bytes], seconds: float) -> Sequence[bytes | None] | None:
        """Answers to several bodies, before `start`; None where they take longer than so many seconds each."""
        found: dict[int, bytes | None] = {}
        for number, body in enumerate(bodies):
            self._native.offer(body, number)
        self._native.wake()
        while len(found) < len(bodies):
            if not select.select([self._native.fileno()], [], [], seconds)[0]:
                return None
            returned: Returned[Any] = self._take()
            found.update(zip(returned.tokens, returned.bodies, strict=True))
        return [found[number] for number in range(len(bodies))]

    def close(self) -> None:
        """Finish what was begun, and nothing more; what takes longer than a second is left to itself."""
        if self._loop is not None:
            self._loop.remove_reader(self._native.fileno())
        self._native.close(_CLOSE_SECONDS)

    def _wake(self) -> None:
        self._waking = False
        self._native.wake()

    def _take(self) -> Returned[T]:
        tokens, bodies, rows, observed, calls, rounds = self._native.take()
        told = np.frombuffer(observed).reshape(-1, self._width)
        return Returned(tokens, bodies, rows, told, calls, [Round(*times) for times in rounds])
