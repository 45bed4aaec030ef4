"""What people see: a live panel in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from observation import Felt, Sight
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_SECONDS = 5.0
NO_EVIDENCE_BELOW = -1000.0


class View(Protocol):
    """Where a release is shown."""

    def title(self, text: str) -> None:
        """A new release begins."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def show(self, sight: Sight, felt: Felt) -> None:
        """The newest look, and what callers got since the release began."""


@contextmanager
def opened() -> Iterator[View]:
    """The view that fits standard output."""
    if sys.stdout.isatty():
        with Live(console=Console(), refresh_per_second=4) as live:
            yield Panels(live)
    else:
        yield Lines()


class Lines:
    """Lines: one for every change, and one now and then."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None
        self._shown = 0.0

    def title(self, text: str) -> None:
        """See View."""
        self._last = None
        print(f"\n{text}", flush=True)

    def say(self, text: str) -> None:
        """See View."""
        print(f"  {text}", flush=True)

    def show(self, sight: Sight, felt: Felt) -> None:
        """See View."""
        state = (sight.phase, sight.weight)
        if state == self._last and time.monotonic() - self._shown < PLAIN_EVERY_SECONDS:
            return
        self._last, self._shown = state, time.monotonic()
        evidence = "; ".join(
            f"{name} {seen} (log e-value {value}, line {line})" for name, seen, value, line in rows(sight)
        )
        callers = f"callers: {sum(felt.answers.values())} answers, {sum(felt.failures.values())} failures"
        shown = f"{sight.phase}, candidate {sight.weight} %, {callers}"
        self.say(f"{time.strftime('%T')} {shown}{f'; {evidence}' if evidence else ''}")


class Panels:
    """A panel that is drawn anew."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._title = ""

    def title(self, text: str) -> None:
        """See View."""
        self._title = text
        self._live.console.print(f"\n[bold]{text}")

    def say(self, text: str) -> None:
        """See View."""
        self._live.console.print(f"  {text}", markup=False)

    def show(self, sight: Sight, felt: Felt) -> None:
        """See View."""
        share = Table.grid(padding=(0, 1))
        share.add_row("candidate", ProgressBar(total=100, completed=sight.weight, width=40), f"{sight.weight} %")
        counts = Table("guardrail", "bad of all: candidate, stable", "log e-value", "its line", box=None)
        for name, seen, value, line in rows(sight):
            counts.add_row(name, seen, value, line)
        answers = ", ".join(f"{count} by {revision}" for revision, count in sorted(felt.answers.items())) or "none yet"
        failures = sum(felt.failures.values())
        callers = Text(f"callers: {answers}; failures {failures}", style="bold red" if failures else "green")
        self._live.update(
            Panel(Group(Text(f"{sight.phase}: {sight.message}"), share, counts, callers), title=self._title)
        )


def rows(sight: Sight) -> Iterator[tuple[str, str, str, str]]:
    """Guardrail, its counts, the log of its e-value for harm, and the line at which the candidate is taken back."""
    for row in (sight.evidence or {}).get("evidence", ()):
        candidate, stable = row["candidate"], row["stable"]
        seen = f"{candidate['events']} of {candidate['requests']}, {stable['events']} of {stable['requests']}"
        yield row["name"], seen, _log(row["logEvalue"]), f"{float(row['threshold']):.2f}"


def _log(value: str) -> str:
    """Before the first evidence the logarithm has no bottom."""
    return "none yet" if float(value) < NO_EVIDENCE_BELOW else f"{float(value):.2f}"
