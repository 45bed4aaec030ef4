"""Which requests are let in: as many as can be answered soon.

Waiting is bounded by time, not by number: the queue may hold what the model has lately computed in a quarter of a
second, so that a burst is answered. When the oldest request has waited too long for a while, there is more to do than
can be done, and waiting helps nobody: then only what can be answered within a twentieth of a second is let in. The
two-fold rule is CoDel's (Nichols and Jacobson, "Controlling Queue Delay", 2012), applied to admission.

To refuse a request is to read it and answer it, too. Where computing one takes hardly longer than that, refusing only
takes time from those who could be answered, so the second rule is left out: the cap alone bounds the waiting.
"""

import math

BURST_SECONDS = 0.25
TARGET_SECONDS = 0.05
INTERVAL_SECONDS = 0.25
_LEAST_PER_THREAD = 4
_SHARE = 0.1
WORTH_REFUSING_SECONDS = 100e-6
"""Ten times what refusing takes."""


class Admission:
    """Decides by the time that batches take. `threads` compute at once, `at_once` requests each; `most` is the cap."""

    __slots__ = ("_at_once", "_each", "_late_since", "_least", "_most", "_seconds")

    def __init__(self, threads: int, at_once: int, most: int) -> None:
        self._most = most
        self._least = min(most, _LEAST_PER_THREAD * threads)
        self._at_once = threads * at_once
        self._seconds = self._each = 0.0
        self._late_since = math.inf

    def admits(self, held: int, waiting: int, now: float) -> bool:
        """Whether one more is let in while `held` requests are admitted, `waiting` of them not begun."""
        if held < self._least:
            return True
        if held >= self._most:
            return False
        late = self._each > WORTH_REFUSING_SECONDS and now - self._late_since > INTERVAL_SECONDS
        bound = TARGET_SECONDS if late else BURST_SECONDS
        return (1 + waiting // self._at_once) * self._seconds <= bound

    def began(self, waited: float, now: float) -> None:
        """The oldest request, which had waited for `waited` seconds, is begun at `now`."""
        if waited <= TARGET_SECONDS:
            self._late_since = math.inf
        elif self._late_since > now:
            self._late_since = now

    def ended(self, seconds: float, requests: int) -> None:
        """A batch of so many requests took this long."""
        each = seconds / requests
        self._seconds += (seconds - self._seconds) * _SHARE if self._seconds else seconds
        self._each += (each - self._each) * _SHARE if self._each else each
