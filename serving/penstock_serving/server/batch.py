"""Several requests computed at once, on a predict thread.

Requests of a batch that ask for the same outputs are one call of the model. When that call fails, its halves are
computed apart, and theirs, so that a request that makes the model fail does so alone.
"""

import time
from collections.abc import Sequence

from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.protocol.call import Call
from penstock_serving.server.engine import Computed, compute, joined, part
from penstock_serving.server.observe import Observer
from penstock_serving.server.task import Task
from penstock_serving.server.turns import Turns

MAX_TASKS = 64
MAX_ROWS = 256
MAX_BYTES = 64 << 10

_Pair = tuple[Task, Call]
Observed = tuple[Sequence[Task], Sequence[int], Matrix]
"""Tasks that were computed together, the number of rows of each, and what the monitor is told of them."""


class Batch:
    """Tasks that one thread takes at once. `run` is called there; the rest is read on the event loop afterwards.

    `calls` are the calls of the model that gave outputs: their rows and seconds.
    """

    __slots__ = (
        "_model",
        "_observer",
        "_turns",
        "calls",
        "computed_seconds",
        "observed",
        "read_seconds",
        "tasks",
        "written_seconds",
    )

    def __init__(self, tasks: list[Task], model: Model, observer: Observer, turns: Turns) -> None:
        self.tasks = tasks
        self.observed: list[Observed] = []
        self.calls: list[tuple[int, float]] = []
        self.read_seconds = self.computed_seconds = self.written_seconds = 0.0
        self._model, self._observer, self._turns = model, observer, turns

    def run(self) -> None:
        """Read, compute and write every task; what goes wrong with one is its `error`. Raises nothing."""
        began = time.monotonic()
        groups: dict[tuple[tuple[str, ...], str], list[_Pair]] = {}
        for task in self.tasks:
            if not task.wanted():
                continue
            try:
                call = task.read()
            except BaseException as error:  # noqa: BLE001  (kept with the task, whatever it is)
                task.error = error
            else:
                groups.setdefault((call.outputs, call.matrix.dtype.str), []).append((task, call))
        self.read_seconds = time.monotonic() - began
        for pairs in groups.values():
            for chunk in _chunks(pairs):
                self._compute(chunk)

    def _compute(self, pairs: list[_Pair]) -> None:
        calls = [call for _, call in pairs]
        call = calls[0] if len(calls) == 1 else joined(calls)
        try:
            with self._turns:
                began = time.monotonic()
                computed = compute(self._model, call)
        except BaseException as error:  # noqa: BLE001  (a model's own code may raise anything)
            if len(pairs) == 1:
                pairs[0][0].error = error
                return
            half = len(pairs) // 2
            self._compute(pairs[:half])
            self._compute(pairs[half:])
            return
        computed_at = time.monotonic()
        self.computed_seconds += computed_at - began
        self.calls.append((len(call.matrix), computed_at - began))
        rows = [len(call.matrix) for call in calls]
        self.observed.append(
            ([task for task, _ in pairs], rows, self._observer.rows(call.matrix, computed.predictions))
        )
        self._write(pairs, rows, computed)
        self.written_seconds += time.monotonic() - computed_at

    def _write(self, pairs: list[_Pair], rows: list[int], computed: Computed) -> None:
        start = 0
        for (task, call), count in zip(pairs, rows, strict=True):
            stop = start + count
            try:
                task.write(call, computed if len(pairs) == 1 else part(computed, start, stop))
            except BaseException as error:  # noqa: BLE001  (kept with the task, whatever it is)
                task.error = error
            start = stop


def _chunks(pairs: list[_Pair]) -> list[list[_Pair]]:
    """The pairs, in order, in lists of at most `MAX_ROWS` rows; a request is never divided."""
    chunks: list[list[_Pair]] = []
    filled = MAX_ROWS
    for pair in pairs:
        rows = len(pair[1].matrix)
        if filled + rows > MAX_ROWS:
            chunks.append([])
            filled = 0
        chunks[-1].append(pair)
        filled += rows
    return chunks
