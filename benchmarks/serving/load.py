"""The load generator: a C program, so that it is not what limits a server."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "load.c"


@dataclass(frozen=True)
class Measured:
    """One run: answers 200, those of them within 100 ms, all answers, per second; times in seconds."""

    rate: float
    goodput: float
    answers: float
    failed: float
    p50: float
    p99: float
    statuses: dict[str, int]


class Load:
    """Runs the program on one core."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "load"
        subprocess.run(["cc", "-O2", "-o", self._program, SOURCE], check=True)

    def run(self, port: int, path: str, bodies: Path, connections: int, seconds: float, rate: float = 0.0) -> Measured:
        """Closed loop, or open at `rate` requests per second."""
        words = ["127.0.0.1", str(port), path, str(bodies), str(connections), str(seconds), str(rate)]
        command = ["taskset", "-c", str(self._core), str(self._program), *words]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60).stdout)
        answers = sum(said["statuses"].values())
        failed = answers - said["answered"] + said["unsent"] + said["late"] + said["broken"]
        return Measured(
            rate=said["answered"] / seconds,
            goodput=said["good"] / seconds,
            answers=answers / seconds,
            failed=failed / seconds,
            p50=said["p50"],
            p99=said["p99"],
            statuses=said["statuses"],
        )
