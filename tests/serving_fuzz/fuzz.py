"""Fuzz what reads requests, led by coverage: `python -m tests.serving_fuzz.fuzz [--seconds 60] [TARGET …]`.

Begins with the kept inputs and the seeds; afterwards the kept inputs are the fewest that reach everything that was
reached. An input that fails is kept as well, so that every test run tries it again. Exits 1 when there was one.
Needs atheris (`pip install penstock[fuzz]`).
"""

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.serving_fuzz import corpus
from tests.serving_fuzz.targets import TARGETS

LONGEST = 4_096


@dataclass(frozen=True, slots=True)
class Found:
    """What came of fuzzing a target: inputs tried, inputs worth keeping, and one that failed, if any, with why."""

    tried: int
    kept: list[bytes]
    failed: list[bytes]
    said: str


def fuzz(target: str, seconds: int, folder: Path) -> Found:
    """Fuzz one target for so many seconds; everything is written to the folder."""
    begun, small, failures = folder / "begun", folder / "small", folder / "failures"
    for made in (begun, small, failures):
        made.mkdir(parents=True)
    for number, content in enumerate((*corpus.read(target), *corpus.seeds(target))):
        (begun / str(number)).write_bytes(content)
    program = _program(target, folder / "again")
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={failures}/",
        "-print_final_stats=1",
    ]
    said = _run(program, *options, str(begun))
    _run(program, "-merge=1", f"-max_len={LONGEST}", str(small), str(begun))
    tried = re.search(r"number_of_executed_units: (\d+)", said)
    failed = [path.read_bytes() for path in failures.iterdir()]
    kept = [path.read_bytes() for path in small.iterdir()]
    return Found(int(tried[1]) if tried else 0, kept, failed, said)


def _program(target: str, path: Path) -> Path:
    """A program that fuzzes the target with the options that it is given."""
    command = shlex.join([sys.executable, "-m", "tests.serving_fuzz.instrumented", target, str(path)])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o700)
    return path


def _run(program: Path, *options: str) -> str:
    command = [str(program), *options]
    return subprocess.run(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, errors="replace").stdout


def main() -> int:
    """Fuzz the targets in turn; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.serving_fuzz.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="all, where none is named")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed here: pip install penstock[fuzz]", file=sys.stderr)
        return 2
    failed = 0
    for target in options.targets or TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(target, options.seconds, Path(folder))
        corpus.write(target, [*(found.kept or corpus.read(target)), *found.failed])
        print(f"{target}: {found.tried} inputs tried, {len(found.kept)} kept, {len(found.failed)} failed", flush=True)
        if found.failed or not found.kept:
            failed += 1
            print(found.said[-4_000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
