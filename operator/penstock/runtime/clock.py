"""The one clock: everything else is passed the time."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never go back, for waiting."""
    return time.monotonic()
