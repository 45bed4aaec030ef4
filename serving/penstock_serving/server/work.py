"""What the model has done since the server started, as the protocol's statistics tell it."""

import time
from collections import Counter
from dataclasses import dataclass, field

from penstock_serving.protocol.documents import Span, Statistics

_NANO = 1_000_000_000


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
        self.calls[rows] += 1
        self.call_seconds[rows] = self.call_seconds.get(rows, 0.0) + seconds
        self.last = time.time()

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
