"""Waiting for what a cluster's processes do."""

import time


def until(condition, within=60):
    """Return when the condition is true; fail when it is not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.02)
