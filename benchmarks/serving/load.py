"""The load generator: a C program, so that it is not what limits a server."""

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "load.c"


@dataclass(frozen=True)
class Measured:
    """One run, or some together: answers 200, those of them within 100 ms, all answers, failures, per second; seconds
    within which half of the answers came, and all but a hundredth."""

    rate: float
    goodput: float
    answers: float
    failed: float
    p50: float
    p99: float
    statuses: dict[str, int]


@dataclass(frozen=True)
class Counted:
    """What the program counted in so many seconds; times by buckets."""

    seconds: float
    answered: int
    good: int
    failed: int
    statuses: Counter[str]
    buckets: Counter[int]

    @classmethod
    def said(cls, said: Mapping[str, Any], seconds: float) -> "Counted":
        """What the program printed."""
        statuses = Counter[str](said["statuses"])
        failed = statuses.total() - said["answered"] + said["unsent"] + said["late"] + said["broken"]
        buckets = Counter({int(number): count for number, count in said["buckets"].items()})
        return cls(seconds, said["answered"], said["good"], failed, statuses, buckets)

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(
            self.seconds + other.seconds,
            self.answered + other.answered,
            self.good + other.good,
            self.failed + other.failed,
            self.statuses + other.statuses,
            self.buckets + other.buckets,
        )

    def measured(self) -> Measured:
        """The same by second, with quantiles."""
        return Measured(
            rate=self.answered / self.seconds,
            goodput=self.good / self.seconds,
            answers=self.statuses.total() / self.seconds,
            failed=self.failed / self.seconds,
            p50=self._quantile(0.5),
            p99=self._quantile(0.99),
            statuses=dict(self.statuses),
        )

    def _quantile(self, share: float) -> float:
        seen = 0
        for number in sorted(self.buckets):
            seen += self.buckets[number]
            if seen > share * self.buckets.total():
                return _begin(number)
        return 0.0


def _begin(bucket: int) -> float:
    """Where a bucket of `load.c` begins, in seconds."""
    if bucket < 64:
        return bucket / 64e6
    return ((64 + bucket % 64) << (bucket // 64 - 1)) / 64e6


class Load:
    """Runs the program on one core."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "load"
        subprocess.run(["cc", "-O2", "-o", self._program, SOURCE], check=True)

    def run(self, port: int, path: str, bodies: Path, connections: int, seconds: float, rate: float = 0.0) -> Measured:
        """Closed loop, or open at `rate` requests per second."""
        return self.count(port, path, bodies, connections, seconds, rate).measured()

    def count(self, port: int, path: str, bodies: Path, connections: int, seconds: float, rate: float) -> Counted:
        """The same, to be added to others."""
        words = ["127.0.0.1", str(port), path, str(bodies), str(connections), str(seconds), str(rate)]
        command = ["taskset", "-c", str(self._core), str(self._program), *words]
        said = subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60).stdout
        return Counted.said(json.loads(said), seconds)
