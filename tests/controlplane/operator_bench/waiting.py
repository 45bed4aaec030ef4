"""Waiting for conditions."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str | Callable[[], object], seconds: float = 60.0) -> T:
    """What the condition gives as soon as it is true; fails when it is not within so many seconds."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {seconds:g} s: {told}")
        time.sleep(0.05)
