"""Pauses before a process that ended is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between restarts, in seconds: doubled from `first` up to `most`, reset after a run of `healthy`."""

    first: float = 0.1
    most: float = 10.0
    healthy: float = 60.0

    def next(self, pause: float, ran: float) -> float:
        """The pause after one of `pause` seconds and a run of `ran` seconds."""
        return self.first if ran >= self.healthy else min(self.most, pause * 2)
