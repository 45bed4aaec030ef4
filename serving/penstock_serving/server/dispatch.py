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
from penstock_serving.server.lane.front import Front
from penstock_serving.server.observe import Observer
from penstock_serving.server.task import CallTask, Task
from penstock_serving.server.turns import Turns
from penstock_serving.server.work import Work

LATE = "the prediction was not ready in time"


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

    `served` is told what the monitor is to know of rows that were answered. Where a `front` answers ordinary requests, it
    is asked besides whether there is room for one more, and whether it is stuck. Calls of the model are `turns`, which
    others may share.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits,
        served: Callable[[Matrix], None],
        front: Front | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._front = front
        self._model, self._limits, self._served = model, limits, served
        self._observer = Observer(model.signature)
        self._at_once = MAX_TASKS if model.rows_independent else 1
        self._admission = Admission(limits.threads, self._at_once, limits.in_flight)
        self.work = Work()
        self._waiting: deque[Task] = deque()
        self._running: set[Batch] = set()
        self._held = 0
        # Threads without a batch; below zero, batches given ahead.
        self._free = limits.threads
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._next_deadline = math.inf
        self._turns = Turns(limits.threads) if turns is None else turns
        self._loop = asyncio.get_running_loop()
        self._batches: Handover[Batch | None] = Handover()
        self._finished: Handback[tuple[Batch, float]] = Handback(self._ended)
        for number in range(limits.threads):
            threading.Thread(target=self._work, name=f"predict-{number}", daemon=True).start()

    @property
    def in_flight(self) -> int:
        """Requests admitted and not finished."""
        return self._held

    def stuck(self, now: float) -> bool:
        """Whether, at `now` (monotonic seconds), every thread has been in one call for longer than the timeout, or every
        one of the front's."""
        if self._front is not None and self._front.held_up_seconds > self._limits.timeout_seconds:
            return True
        return self._turns.held_up_seconds(now) > self._limits.timeout_seconds

    def submit(self, call: Call, patience_seconds: float) -> Awaitable[Computed]:
        """Compute a call; raises as `offer` does, and what the task went wrong with when awaited."""
        task = CallTask(call)
        self.offer(task, patience_seconds)
        return task.future

    def offer(self, task: Task, patience_seconds: float, spent_seconds: float = 0.0) -> None:
        """Take a task that is to be finished within the timeout or `patience_seconds`, whichever is less, of which it has
        spent some elsewhere.

        Raises `SaturatedError`, `NotServingError`; a task that is late is finished with a `DeadlineError`.
        """
        now = time.monotonic()
        if (self._free <= 0 or self._front is not None) and self.stuck(now):
            raise NotServingError("the model has not finished a prediction for too long; it is being restarted")
        room = self._admission.admits(self._held, len(self._waiting), now)
        if not room or (self._front is not None and not self._front.admits()):
            raise SaturatedError(f"{self._held} requests are being answered already; try again shortly")
        task.arrived = now
        task.deadline = now + min(patience_seconds, self._limits.timeout_seconds) - spent_seconds
        self._held += 1
        self._waiting.append(task)
        if task.deadline < self._next_deadline:
            self._watch(task.deadline)
        if not self._scheduled and (self._free > 0 or self._ahead()):
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def close(self) -> None:
        """Start nothing more."""
        for task in self._waiting:
            task.over = True
        for _ in range(self._limits.threads):
            self._batches.put(None)
        if self._timer is not None:
            self._timer.cancel()

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._waiting and (self._free > 0 or self._ahead()):
            tasks = self._take()
            if tasks:
                batch = Batch(tasks, self._model, self._observer, self._turns)
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
                self._held -= 1
                if not task.over:
                    task.over = True
                    task.finish()
                continue
            tasks.append(task)
            size += task.size
            self.work.queued_seconds += now - task.arrived
        if tasks:
            self._admission.began(now - tasks[0].arrived, now)
        return tasks

    def _work(self) -> None:
        while (batch := self._batches.get()) is not None:
            began = time.monotonic()
            batch.run()
            seconds = time.monotonic() - began
            self._finished.put((batch, seconds))

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
            # An error remembers where it was raised, and so its task: together they would wait for a collection of garbage.
            task.error = None

    def _account(self, batch: Batch) -> None:
        work, requests, now = self.work, len(batch.tasks), time.monotonic()
        work.begun += requests
        work.read_seconds += batch.read_seconds * requests
        work.computed_seconds += batch.computed_seconds * requests
        work.written_seconds += batch.written_seconds * requests
        for rows, seconds in batch.calls:
            work.add_call(rows, seconds)
        for task in batch.tasks:
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
        begun = [task for batch in self._running for task in batch.tasks]
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
            task.error = DeadlineError(LATE)
            task.finish()
