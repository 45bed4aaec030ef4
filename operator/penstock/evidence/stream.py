"""One router pod's ledger as one release has read it. Pure.

Rows are pulled in pages but shown to the judge in seconds, so a page can be shown in part. What a restart must know is
the cursor behind the last page shown whole, and the time of the last row shown: the rows of one router grow in time, so
those up to it are passed over when they are pulled again.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.evidence.agents import Page, Row


@dataclass(frozen=True, slots=True)
class Last:
    """Where a router stood in the last row shown: what a row that counts nothing must repeat."""

    router: str
    version: object
    weight: object


@dataclass(slots=True)
class Stream:
    """`cursor` is where the next pull begins, `kept` where a restart would begin; `shown` the time of the last row that
    the judge has; `complete_until` how far the router has told everything; `heard_at` when it last answered (seconds by
    the operator's clock), `ahead` how far the router's clock runs before the operator's, as far as known."""

    cursor: str = ""
    kept: str = ""
    shown: float = 0.0
    complete_until: float = 0.0
    heard_at: float = 0.0
    ahead: float | None = None
    last: Last | None = None
    waiting: deque[Row] = field(default_factory=deque)
    pages: deque[tuple[float, str]] = field(default_factory=deque)

    def take(self, page: Page, release: str, now: float) -> None:
        """Take in a page; rows of other releases are passed over."""
        newest = self.shown
        for row in page.rows:
            t = number(row.get("t"))
            newest = max(newest, t)
            if t > self.shown and row.get("release") == release:
                self.waiting.append(row)
        if page.rows:
            self.pages.append((newest, page.cursor))
        elif not self.pages:
            self.kept = page.cursor
        self.cursor = page.cursor
        self.complete_until = max(self.complete_until, page.complete_until)
        self.heard_at = now
        ahead = page.complete_until - now
        self.ahead = ahead if self.ahead is None else max(self.ahead, ahead)

    def show_until(self, until: float) -> Iterator[Row]:
        """Hand out the rows up to a time of the router's clock."""
        while self.waiting and number(self.waiting[0].get("t")) <= until:
            row = self.waiting.popleft()
            self.shown = max(self.shown, number(row.get("t")))
            self.last = Last(str(row.get("router", "")), row.get("version"), row.get("weight"))
            yield row

    def settle(self) -> None:
        """Move the restart's cursor up to what has been shown."""
        still = number(self.waiting[0].get("t")) if self.waiting else math.inf
        while self.pages and self.pages[0][0] < still:
            _, self.kept = self.pages.popleft()

    @property
    def as_of(self) -> float:
        """Up to when, by the operator's clock, the router has told everything."""
        return self.complete_until - (self.ahead or 0.0)


def number(value: object) -> float:
    """A time as a finite number; what is none counts as 0, so that it is shown at once and the judge names the fault."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0.0
    return float(value)
