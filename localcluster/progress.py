"""Says what is being done, how long it takes and how much is left: a live line on a terminal, else plain lines."""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REDRAW_EVERY = 0.2
PLAIN_EVERY = 20.0
LONG_WAIT = 15.0


def spoken(seconds: float) -> str:
    """A duration as people say it: `0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the work, and how many seconds it usually takes (until a real duration is known)."""

    title: str
    usually: float


@dataclass(slots=True)
class Step:
    """One thing being done; `tick` may be called as often as convenient."""

    title: str
    expected: float
    began: float
    spoke: float
    live: bool

    def tick(self, detail: str = "", *, share: float | None = None) -> None:
        """Shows where the step is; `share` in [0, 1] is the part that is done, if known."""
        now = time.monotonic()
        if now - self.spoke < (REDRAW_EVERY if self.live else PLAIN_EVERY):
            return
        self.spoke = now
        spent = now - self.began
        left = self.expected - spent
        if share is not None and share > 0.05:
            left = spent / share - spent
        remaining = f", about {spoken(left)} left" if left >= 1 else ""
        line = f"{self.title}: {detail + ', ' if detail else ''}{spoken(spent)}{remaining}"
        if self.live:
            sys.stderr.write(f"\r\x1b[K  … {line}"[: len("\r\x1b[K") + shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()
        else:
            print(f"  … {line}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Progress:
    """Reports steps on standard error and remembers how long each took, as the estimate for the next time."""

    memory: Path
    live: bool = field(default_factory=sys.stderr.isatty)

    @contextmanager
    def step(self, part: Part) -> Iterator[Step]:
        """One part of the work, from its begin to its end."""
        title = part.title
        now = time.monotonic()
        step = Step(title, self._remembered().get(title, part.usually), now, now, self.live)
        if self.live:
            step.spoke = 0.0
            step.tick()
        elif step.expected >= 3:
            print(f"  … {title} (about {spoken(step.expected)})", file=sys.stderr, flush=True)
        try:
            yield step
        except BaseException:
            self._finish("✗", title, step)
            raise
        self._finish("✓", title, step)
        self._remember(title, time.monotonic() - now)

    def plan(self, parts: Sequence[Part]) -> None:
        """Says before a long wait what it consists of."""
        expected = [(part.title, self._remembered().get(part.title, part.usually)) for part in parts]
        total = sum(seconds for _, seconds in expected)
        if len(expected) > 1 and total >= LONG_WAIT:
            named = "; ".join(f"{title} ({spoken(seconds)})" for title, seconds in expected)
            self.note(f"about {spoken(total)} in all: {named}")

    def note(self, text: str) -> None:
        """One line that stays."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def _finish(self, mark: str, title: str, step: Step) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[K")
        print(f"  {mark} {title} ({spoken(time.monotonic() - step.began)})", file=sys.stderr, flush=True)

    def _remembered(self) -> dict[str, float]:
        try:
            content = json.loads(self.memory.read_text())
        except (OSError, ValueError):
            return {}
        return {str(key): float(value) for key, value in content.items()} if isinstance(content, dict) else {}

    def _remember(self, title: str, seconds: float) -> None:
        durations = self._remembered() | {title: round(seconds, 1)}
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.memory.with_suffix(f".{time.monotonic_ns()}")
        fresh.write_text(json.dumps(durations, indent=1, sort_keys=True))
        fresh.replace(self.memory)
