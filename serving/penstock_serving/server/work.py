"""What the model has done since the server started, as the protocol's statistics tell it."""

import time
from collections import Counter
from dataclasses import dataclass, field, replace

from penstock_serving.protocol.documents import Span, Statistics

_NANO = 1_000_000_000
_EXACT_ROWS = 256
"""Calls of more rows are told by the next power of two, so that callers cannot make the statistics grow."""


@dataclass(slots=True)
class Work:
    """Totals, in requests and seconds. Every request of a batch is counted with the batch's time.

    To be used from one thread.
    """

    succeeded: int = 0
    failed: int = 0
    succeeded_seconds: float = 0.0
    failed_seconds: float = 0.0
    begun: int = 0
    queued_seconds: float = 0.0
    read_seconds: float = 0.0
    computed_seconds: float = 0.0
    written_seconds: float = 0.0
    rows: int = 0
    last: float = 0.0
    calls: Counter[int] = field(default_factory=Counter)
    call_seconds: dict[int, float] = field(default_factory=dict)

    def add_call(self, rows: int, seconds: float) -> None:
        """Count one call of the model."""
        self.rows += rows
        size = rows if rows <= _EXACT_ROWS else 1 << (rows - 1).bit_length()
        self.calls[size] += 1
        self.call_seconds[size] = self.call_seconds.get(size, 0.0) + seconds
        self.last = time.time()

    def copy(self) -> "Work":
        """The totals as they are now, for another thread to read."""
        return replace(self, calls=Counter(dict(self.calls)), call_seconds=dict(self.call_seconds))

    def add(self, other: "Work") -> None:
        """Add another worker's totals."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.succeeded_seconds += other.succeeded_seconds
        self.failed_seconds += other.failed_seconds
        self.begun += other.begun
        self.queued_seconds += other.queued_seconds
        self.read_seconds += other.read_seconds
        self.computed_seconds += other.computed_seconds
        self.written_seconds += other.written_seconds
        self.rows += other.rows
        self.last = max(self.last, other.last)
        self.calls.update(other.calls)
        for rows, seconds in other.call_seconds.items():
            self.call_seconds[rows] = self.call_seconds.get(rows, 0.0) + seconds

    def statistics(self) -> Statistics:
        """The totals in the protocol's form."""
        return Statistics(
            last_inference=int(self.last * 1000),
            inferences=self.rows,
            executions=self.calls.total(),
            success=_span(self.succeeded, self.succeeded_seconds),
            fail=_span(self.failed, self.failed_seconds),
            queue=_span(self.begun, self.queued_seconds),
            compute_input=_span(self.begun, self.read_seconds),
            compute_infer=_span(self.begun, self.computed_seconds),
            compute_output=_span(self.begun, self.written_seconds),
            batches={rows: _span(count, self.call_seconds[rows]) for rows, count in self.calls.items()},
        )


def _span(count: int, seconds: float) -> Span:
    return Span(count, int(seconds * _NANO))
