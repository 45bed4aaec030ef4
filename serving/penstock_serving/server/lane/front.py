"""The front as Python sees it: native code (`serving/native`) that accepts connections, answers ordinary requests, and
hands over the rest. It tells the monitor by itself; what it has counted is asked of it.
"""

import asyncio
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.monitor.wire import new_boot
from penstock_serving.server.counts import Counts
from penstock_serving.server.work import Work

ROUTE = "infer"
"""The route under which its requests are counted."""


class Answers(NamedTuple):
    """Bodies (None for a request that is not ordinary), the rows of each, and what the monitor is told of them all."""

    bodies: Sequence[bytes | None]
    rows: Sequence[int]
    observed: Matrix


class Rules(NamedTuple):
    """What the front answers, and when it does not.

    `targets` are asked with bodies of at most `body` bytes; `patience_header` says for how long a caller waits. `good` is
    the head of an answer, up to what differs from one to another; `late` the head and body for a request that was not
    answered in time. At most so many connections and requests; seconds for an answer, for being idle, for reading an
    answer.
    """

    targets: list[bytes]
    body: int
    patience_header: str
    good: bytes
    late: tuple[bytes, bytes]
    connections: int
    in_flight: int
    timeout_seconds: float
    idle_seconds: float
    write_seconds: float


class Front:
    """A model that answers ordinary requests natively: at the connection, from `start` on.

    Before that, `ask` answers bodies here and now. `counts`, `asked` and `idle_seconds` may be asked by any thread. Where it
    is there `in_place_of_python`, and not with fewer threads, what it has no room for has none in Python either.
    """

    def __init__(self, lane: Any, columns: int, *, in_place_of_python: bool) -> None:
        self._lane, self._width, self._in_place = lane, columns + 1, in_place_of_python
        self._native: Any = None

    @property
    def computed_by(self) -> str:
        """What computes the model, before `start`: "instructions" of the native code's own, "onnxruntime", "python", or
        "instructions and python" where Python computes what the instructions leave."""
        return str(self._lane.computed_by)

    @property
    def threads(self) -> int:
        """How many threads it will have, before `start`."""
        return int(self._lane.threads)

    def ask(self, bodies: Sequence[bytes]) -> Answers:
        """Answer bodies together, before `start`."""
        answers, rows, observed = self._lane.ask(list(bodies))
        return Answers(answers, rows, self._matrix(observed))

    def start(
        self,
        listening: Sequence[socket.socket],
        rules: Rules,
        bounds: Sequence[float],
        monitor: Path,
        adopt: Callable[[socket.socket, bytes, float], None],
    ) -> None:
        """Answer at listening sockets, which are the front's from now on; count times in buckets of these `bounds`; tell the
        `monitor`, by its socket, what was answered.

        Connections that bring anything else are given to `adopt` on the running event loop, with what was read from them and
        the seconds since that began to come.
        """
        descriptors = [one.detach() for one in listening]
        flat = (*rules[:4], *rules.late, *rules[5:])
        native = self._native = self._lane.front(descriptors, flat, list(bounds), monitor, new_boot())

        def handed() -> None:
            for descriptor, content, spent in native.handed():
                try:
                    connection = socket.socket(fileno=descriptor)
                except OSError:
                    # it has ended meanwhile; the others have not
                    os.close(descriptor)
                else:
                    adopt(connection, content, spent)

        asyncio.get_running_loop().add_reader(native.fileno(), handed)

    @property
    def held_up_seconds(self) -> float:
        """For how long every thread has been in one call; 0 where one is not."""
        return float(self._native.held_up()) if self._native is not None else 0.0

    def admits(self) -> bool:
        """Whether Python may take one more request."""
        return self._native is None or not self._in_place or bool(self._native.admits())

    @property
    def asked(self) -> int:
        """Requests that wait for an answer."""
        return int(self._native.asked()) if self._native is not None else 0

    @property
    def idle_seconds(self) -> float:
        """For how long the model was asked nothing. Between two answers nothing may wait, however many are asked."""
        since = self._native.idle() if self._native is not None else None
        return math.inf if since is None else float(since)

    def counts(self) -> Counts:
        """Totals since the start."""
        if self._native is None:
            return Counts()
        buckets, good, late, seconds, late_seconds, rows, parts, calls, since = self._native.counts()
        sent, dropped = self._native.told()
        begun, queued, read, computed, written = parts
        work = Work(
            succeeded=good,
            failed=late,
            succeeded_seconds=seconds,
            failed_seconds=late_seconds,
            begun=begun,
            queued_seconds=queued,
            read_seconds=read,
            computed_seconds=computed,
            written_seconds=written,
            rows=sum(rows * number for rows, number, _ in calls),
            last=0.0 if since is None else time.time() - since,
            calls=Counter({rows: number for rows, number, _ in calls}),
            call_seconds={rows: spent for rows, _, spent in calls},
        )
        return Counts(
            answers={ROUTE: {"200": good, "504": late}},
            buckets={ROUTE: buckets},
            seconds={ROUTE: seconds + late_seconds},
            rows=rows,
            in_flight=self.asked,
            sent=sent,
            dropped=dropped,
            work=work,
        )

    def take_back(self, connection: int) -> None:
        """Take back a connection that waits for nothing, by a descriptor of its own."""
        self._native.take_back(connection)

    def drain(self) -> None:
        """Hand over every connection as soon as it waits for no answer."""
        if self._native is not None:
            self._native.drain()

    def close(self) -> None:
        """End what is left."""
        if self._native is not None:
            asyncio.get_running_loop().remove_reader(self._native.fileno())
            self._native.close()

    def _matrix(self, content: bytes) -> Matrix:
        return np.frombuffer(content).reshape(-1, self._width)
