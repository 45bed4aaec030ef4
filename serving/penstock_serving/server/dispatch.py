"""From requests to predict threads and back: at once when a thread is idle, together while all are busy.

Nothing waits for company: a request that finds an idle thread is begun after the event loop has looked at what else
arrived in the same moment. What arrives while the model computes is computed together next, where its rows are
independent of one another. One hop to a thread and back is paid per batch.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import DeadlineError, NotServingError, SaturatedError
from penstock_serving.server.admission import Admission
from penstock_serving.server.batch import MAX_BYTES, MAX_TASKS, Batch
from penstock_serving.server.engine import Computed
from penstock_serving.server.handover import Handback, Handover
from penstock_serving.server.lane.queue import Lane, Returned
from penstock_serving.server.observe import Observer
from penstock_serving.server.task import CallTask, Task
from penstock_serving.server.work import Work

LANE_BYTES = 1 << 20
"""The largest body that is offered to the lane, which copies it. Of a larger one the reading costs, not the interpreter."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Threads that predict at once, requests admitted at once (computing or queued), seconds one may take in all."""

    threads: int
    in_flight: int
    timeout_seconds: float


class Dispatcher:
    """Runs tasks on threads. To be used from one event loop.

    A request that cannot be answered soon is refused at once as saturated. One that is not answered in time gets a
    deadline error, and leaves the queue if it was not begun; so does one whose caller hung up. When every thread has
    been in one call for longer than the timeout the dispatcher is *stuck*: a thread cannot be stopped, so requests then
    fail as not serving (which counts against the model, unlike saturation) until a call returns.

    `served` is told what the monitor is to know of rows that were answered.

    Ordinary requests go by the `lane`, where there is one; what it leaves unanswered comes back to the head of the queue.
    """

    def __init__(
        self, model: Model, limits: Limits, served: Callable[[Matrix], None], lane: Lane[Task] | None = None
    ) -> None:
        self._model, self._limits, self._served, self._lane = model, limits, served, lane
        self._observer = Observer(model.signature)
        self._at_once = MAX_TASKS if model.rows_independent else 1
        self._admission = Admission(limits.threads, self._at_once, limits.in_flight)
        self.work = Work()
        self._waiting: deque[Task] = deque()
        self._running: set[Batch] = set()
        self._on_lane: set[Task] = set()
        self._lane_moved = 0.0
        self._held = 0
        # Threads without a batch; below zero, batches given ahead.
        self._free = limits.threads
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._next_deadline = math.inf
        self._began: dict[int, float] = {}
        self._loop = asyncio.get_running_loop()
        self._batches: Handover[Batch | None] = Handover()
        self._finished: Handback[tuple[Batch, float]] = Handback(self._ended)
        for number in range(limits.threads):
            threading.Thread(target=self._work, name=f"predict-{number}", daemon=True).start()
        if lane is not None:
            lane.start(self._returned)

    @property
    def in_flight(self) -> int:
        """Requests admitted and not finished."""
        return self._held

    def stuck(self, now: float) -> bool:
        """Whether, at `now` (monotonic seconds), every thread has been in one call for longer than the timeout, or the
        lane has not returned anything for so long."""
        timeout, began = self._limits.timeout_seconds, tuple(self._began.values())
        if self._on_lane and now - self._lane_moved > timeout:
            return True
        return len(began) == self._limits.threads and now - max(began) > timeout

    def submit(self, call: Call, patience_seconds: float) -> Awaitable[Computed]:
        """Compute a call; raises as `offer` does, and what the task went wrong with when awaited."""
        task = CallTask(call)
        self.offer(task, patience_seconds)
        return task.future

    def offer(self, task: Task, patience_seconds: float) -> None:
        """Take a task that is to be finished within the timeout or `patience_seconds`, whichever is less.

        Raises `SaturatedError`, `NotServingError`; a task that is late is finished with a `DeadlineError`.
        """
        now = time.monotonic()
        if (self._free <= 0 or self._on_lane) and self.stuck(now):
            raise NotServingError("the model has not finished a prediction for too long; it is being restarted")
        if not self._admission.admits(self._held, len(self._waiting) + len(self._on_lane), now):
            raise SaturatedError(f"{self._held} requests are being answered already; try again shortly")
        task.arrived = now
        task.deadline = now + min(patience_seconds, self._limits.timeout_seconds)
        self._held += 1
        if task.deadline < self._next_deadline:
            self._watch(task.deadline)
        if self._lane is not None and task.ordinary is not None and task.size <= LANE_BYTES:
            if not self._on_lane:
                self._lane_moved = now
            self._on_lane.add(task)
            self._lane.offer(task.ordinary, task)
            return
        self._waiting.append(task)
        if not self._scheduled and (self._free > 0 or self._ahead()):
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def close(self) -> None:
        """Start nothing more."""
        for task in self._waiting:
            task.over = True
        for task in self._on_lane:
            task.over = True
        for _ in range(self._limits.threads):
            self._batches.put(None)
        if self._lane is not None:
            self._lane.close()
        if self._timer is not None:
            self._timer.cancel()

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._waiting and (self._free > 0 or self._ahead()):
            tasks = self._take()
            if tasks:
                batch = Batch(tasks, self._model, self._observer, self._beat)
                self._running.add(batch)
                self._free -= 1
                self._batches.put(batch)

    def _ahead(self) -> bool:
        """Whether a thread that is busy can be given its next batch already: a full one, which cannot grow by waiting.

        Then it does not wait for an event loop that is busy with reading."""
        return -self._free < self._limits.threads and len(self._waiting) >= self._at_once

    def _take(self) -> list[Task]:
        """The next tasks to compute together."""
        now = time.monotonic()
        tasks: list[Task] = []
        size, waiting = 0, self._waiting
        while waiting and len(tasks) < self._at_once:
            task = waiting[0]
            if tasks and size + task.size > MAX_BYTES:
                break
            waiting.popleft()
            if not task.wanted():
                task.over = True
                self._held -= 1
                continue
            tasks.append(task)
            size += task.size
            self.work.queued_seconds += now - task.arrived
        if tasks:
            self._admission.began(now - tasks[0].arrived, now)
        return tasks

    def _work(self) -> None:
        thread = threading.get_ident()
        while (batch := self._batches.get()) is not None:
            self._beat()
            began = time.monotonic()
            batch.run()
            del self._began[thread]
            seconds = time.monotonic() - began
            self._finished.put((batch, seconds))

    def _beat(self) -> None:
        """This thread begins a call of the model."""
        self._began[threading.get_ident()] = time.monotonic()

    def _ended(self, finished: tuple[Batch, float]) -> None:
        batch, seconds = finished
        self._free += 1
        self._running.discard(batch)
        self._admission.ended(seconds, len(batch.tasks))
        self._held -= len(batch.tasks)
        self._dispatch()
        self._account(batch)
        for tasks, rows, observed in batch.observed:
            self._tell(tasks, rows, observed)
        for task in batch.tasks:
            if not task.over:
                task.over = True
                task.finish()

    def _returned(self, found: Returned[Task]) -> None:
        """Take what the lane has answered, and what it has left."""
        now = self._lane_moved = time.monotonic()
        work = self.work
        for done in found.rounds:
            if done.computed:
                # Where everything is left to Python nothing is learned of how long an answer takes.
                self._admission.began(done.waited, now)
                self._admission.ended(done.seconds, done.requests)
            work.queued_seconds += done.queued
            work.read_seconds += done.read * done.requests
            work.computed_seconds += done.computed * done.requests
            work.written_seconds += done.written * done.requests
        for rows, seconds in found.calls:
            work.add_call(rows, seconds)
        self._on_lane.difference_update(found.tokens)
        tasks, rows_of = found.tokens, found.rows
        if None in found.bodies:
            tasks, rows_of = self._keep_answered(found)
        self._held -= len(tasks)
        work.begun += len(tasks)
        self._count(tasks, now)
        self._tell(tasks, rows_of, found.observed)
        for task, body in zip(found.tokens, found.bodies, strict=True):
            if body is not None and not task.over:
                task.over = True
                task.answered(body)

    def _keep_answered(self, found: Returned[Task]) -> tuple[list[Task], list[int]]:
        """Send what was left by the lane the other way; return what was answered, and the rows of each."""
        left = [task for task, body in zip(found.tokens, found.bodies, strict=True) if body is None]
        for task in left:
            task.ordinary = None
        self._waiting.extendleft(reversed(left))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._dispatch)
        kept = [
            pair for pair, body in zip(zip(found.tokens, found.rows, strict=True), found.bodies, strict=True) if body
        ]
        return [task for task, _ in kept], [rows for _, rows in kept]

    def _account(self, batch: Batch) -> None:
        work, requests = self.work, len(batch.tasks)
        work.begun += requests
        work.read_seconds += batch.read_seconds * requests
        work.computed_seconds += batch.computed_seconds * requests
        work.written_seconds += batch.written_seconds * requests
        for rows, seconds in batch.calls:
            work.add_call(rows, seconds)
        self._count(batch.tasks, time.monotonic())

    def _count(self, tasks: Sequence[Task], now: float) -> None:
        work = self.work
        for task in tasks:
            if task.error is None and task.wanted():
                work.succeeded += 1
                work.succeeded_seconds += now - task.arrived
            else:
                work.failed += 1
                work.failed_seconds += now - task.arrived

    def _tell(self, tasks: Sequence[Task], rows: Sequence[int], observed: Matrix) -> None:
        """Tell of the rows that are answered: not of those whose callers were told that it was too late."""
        if all(task.wanted() and task.error is None for task in tasks):
            self._served(observed)
            return
        start = 0
        for task, count in zip(tasks, rows, strict=True):
            if task.wanted() and task.error is None:
                self._served(observed[start : start + count])
            start += count

    def _watch(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_deadline = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._expire)

    def _expire(self) -> None:
        """Finish what is late, and look again at the next deadline: seldom, as most tasks are over by then."""
        self._timer, self._next_deadline = None, math.inf
        now = time.monotonic()
        begun = [*self._on_lane, *(task for batch in self._running for task in batch.tasks)]
        late = [task for task in (*begun, *self._waiting) if not task.over and task.deadline <= now]
        for task in late:
            task.over = True
        kept = deque(task for task in self._waiting if not task.over)
        self._held -= len(self._waiting) - len(kept)
        self._waiting = kept
        deadlines = [task.deadline for task in (*begun, *kept) if not task.over]
        if deadlines:
            self._watch(min(deadlines))
        for task in late:
            task.error = DeadlineError("the prediction was not ready in time")
            task.finish()
