"""The integers of the ledger: what became of the requests that one arm was given."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import add, sub


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of requests by the outcome of their first try; each request has exactly one outcome.

    `requests` were assigned to the arm. Of these, `unavailable` never reached it (no live pod of its own), `resets`
    broke (connection refused, reset, answer cut short), `timeouts` took at least the try timeout, `errors` answered
    5xx or a failing gRPC status, `cancelled` were given up by the caller before any answer, `refused` were refused in
    a way that a model can cause, `saturated` were turned away as too many; the rest went well.

    `repeats` are second tries, whoever made them. `felt` are requests whose caller got a 5xx, a failing gRPC status, a
    broken answer or none. `slow` counts per threshold the requests that took at least so long, or failed.
    """

    requests: int = 0
    unavailable: int = 0
    resets: int = 0
    timeouts: int = 0
    errors: int = 0
    cancelled: int = 0
    refused: int = 0
    saturated: int = 0
    repeats: int = 0
    felt: int = 0
    slow: tuple[int, ...] = ()

    @property
    def failed(self) -> int:
        """What counts against the arm as failed; the same formula for both arms."""
        return self.unavailable + self.resets + self.timeouts + self.errors + self.cancelled

    @property
    def reached(self) -> int:
        """Requests whose first try reached a pod of the arm's own."""
        return self.requests - self.unavailable

    def __bool__(self) -> bool:
        return any(self.numbers())

    def numbers(self) -> tuple[int, ...]:
        """All counts in a fixed order, `slow` last."""
        return (*(getattr(self, name) for name in NAMES), *self.slow)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Tally":
        """The tally whose `numbers()` are these."""
        requests, unavailable, resets, timeouts, errors, cancelled, refused, saturated, repeats, felt, *slow = numbers
        return cls(
            *(requests, unavailable, resets, timeouts, errors, cancelled, refused, saturated, repeats, felt),
            slow=tuple(slow),
        )

    def plus(self, other: "Tally") -> "Tally":
        """Sum, count by count; a threshold that only one of them knows counts as its own."""
        return Tally.of(map(add, *_aligned(self, other)))

    def minus(self, other: "Tally") -> "Tally":
        """Difference, count by count."""
        return Tally.of(map(sub, *_aligned(self, other)))

    @property
    def regular(self) -> bool:
        """Whether these can be counts: nothing is negative."""
        return all(number >= 0 for number in self.numbers())


NAMES = tuple(field.name for field in fields(Tally) if field.name != "slow")


def _aligned(one: Tally, other: Tally) -> tuple[tuple[int, ...], tuple[int, ...]]:
    longest = max(len(one.slow), len(other.slow))
    pad = [numbers + (0,) * (longest - len(slow)) for numbers, slow in ((t.numbers(), t.slow) for t in (one, other))]
    return pad[0], pad[1]
