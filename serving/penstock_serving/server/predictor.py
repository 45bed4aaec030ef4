"""Running predictions off the event loop: few threads, a bounded queue, deadlines, and a notion of being stuck."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from penstock_serving.protocol.errors import DeadlineError, NotServingError, SaturatedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Threads that predict at once, requests admitted at once (computing or queued), seconds one may take in all."""

    threads: int
    in_flight: int
    timeout_seconds: float


class Predictor:
    """Runs calls on threads. To be used from one event loop.

    A request beyond the limit is refused at once as saturated. A request that is not answered in time gets a deadline
    error, and leaves the queue if it was not begun. When every thread has been in one call for longer than the timeout
    the predictor is *stuck*: a thread cannot be stopped, so requests then fail as not serving (which counts against the
    model, unlike saturation) until a call returns.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="predict")
        self._began: dict[int, float] = {}
        self._held = 0

    @property
    def in_flight(self) -> int:
        """Requests admitted and not finished."""
        return self._held

    def stuck(self, now: float) -> bool:
        """Whether, at `now` (monotonic seconds), every thread has been in one call for longer than the timeout."""
        began = tuple(self._began.values())
        return len(began) == self._limits.threads and now - max(began) > self._limits.timeout_seconds

    async def run(self, work: Callable[[], T], patience_seconds: float) -> "Future[T]":
        """Run `work` on a thread and return its finished future, holding the result or the exception.

        Waits at most the timeout or `patience_seconds`, whichever is less. Raises `SaturatedError`, `DeadlineError`,
        `NotServingError`.
        """
        if self.stuck(time.monotonic()):
            raise NotServingError("the model has not finished a prediction for too long; it is being restarted")
        if self._held >= self._limits.in_flight:
            raise SaturatedError(f"{self._held} requests are being answered already; try again shortly")
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        self._held += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._finish, finished))
        try:
            async with asyncio.timeout(min(patience_seconds, self._limits.timeout_seconds)):
                await finished
        except TimeoutError as error:
            future.cancel()
            raise DeadlineError("the prediction was not ready in time") from error
        return future

    def _finish(self, finished: "asyncio.Future[None]") -> None:
        """Give the place back when the call is over, or never begins: not when its caller stops waiting."""
        self._held -= 1
        if not finished.done():
            finished.set_result(None)

    def _timed(self, work: Callable[[], T]) -> T:
        thread = threading.get_ident()
        self._began[thread] = time.monotonic()
        try:
            return work()
        finally:
            del self._began[thread]

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
