"""`make mutation`: would the tests notice, if the modules that decide were slightly wrong?

Each mutant (see `mutants`) is run in a process of its own, forked from one that has imported the libraries and read the
source: it imports the judge with the changed module in place and runs the tests until one fails. A mutant that no test
fails for must be named in docs/statistics/mutation.md with the reason why it changes no verdict; else the exit status is 1.
"""

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from benchmarks.judge.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
JUDGE = ROOT / "operator" / "penstock" / "judge"
LISTED = ROOT / "docs" / "statistics" / "mutation.md"

MODULES: dict[str, tuple[str, ...]] = {
    "guardrail": (),
    "restarts": (),
    "budget": (),
    "strata": (),
    "signs": (),
    "users": (),
    "spread": (),
    "release": (
        "DOUBT", "DOUBTFUL_SHARE", "STALE", "JUST_BELOW", "Release.decide", "Release._weigh", "Release._cap",
        "Release._doubtful", "Release._luck", "Release.log_harm", "Release._log_harms", "Release._log_healths",
        "Release._worst",
    ),
    "verdict": ("per_metric_threshold", "tolerated_points"),
}  # fmt: skip
"""Modules that decide or combine, and which of their functions and constants: all, where none are named."""

TESTS = ("deciding", "combining", "users_signs_spread", "restarts", "watermark_strata", "criteria_budget_forecast", "bets", "release")
"""tests/judge/test_*.py, quick ones first."""

WARM = ("numpy", "scipy.stats", "hypothesis", "hypothesis.strategies", "pytest", "_pytest.assertion.rewrite", "json", "zlib")
"""Imported once, before forking."""

CPU_SECONDS = 120
MEMORY = 4 << 30
KILLED, SURVIVED, ENDLESS = "killed", "survived", "endless"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant, and the seconds that it took."""

    mutant: Mutant
    fate: str
    seconds: float


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed code and everything else as usual."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """As the import system asks."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The default one."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed code."""
        exec(self.code, module.__dict__)


def wanted(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """Which functions and constants of a module are to be changed."""
    return lambda where: not parts or where in parts


def all_mutants(only: str) -> Iterator[Mutant]:
    """Of every module, those whose name contains `only`."""
    for module, parts in MODULES.items():
        source = (JUDGE / f"{module}.py").read_text(encoding="utf-8")
        yield from (mutant for mutant in mutants(module, source, wanted(parts)) if only in mutant.name)


def run_tests(mutant: Mutant | None, output: Path | None) -> int:
    """pytest's exit status, in this very process."""
    import pytest
    from hypothesis import settings

    settings.register_profile("mutation", max_examples=15, derandomize=True, database=None, deadline=None)
    settings.load_profile("mutation")
    if mutant is not None:
        path = JUDGE / f"{mutant.module}.py"
        code = compile(mutant.tree, str(path), "exec")
        sys.meta_path.insert(0, Mutated(f"penstock.judge.{mutant.module}", path, code))
    files = [str(ROOT / "tests" / "judge" / f"test_{name}.py") for name in TESTS]
    text = io.StringIO()
    with redirect_stdout(text), redirect_stderr(text):
        status = int(pytest.main(["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT),
                                  "--timeout", "0", *files]))  # fmt: skip
    if output is not None:
        output.write_text(text.getvalue(), encoding="utf-8")
    return status


def fork(mutant: Mutant | None, output: Path | None) -> int:
    """A child process that runs the tests; its pid. It exits with pytest's status."""
    pid = os.fork()
    if pid:
        return pid
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    status = 70
    try:
        status = run_tests(mutant, output)
    finally:
        os._exit(status)


def fate(status: int) -> str:
    """From a child's wait status."""
    if os.WIFSIGNALED(status):
        return ENDLESS if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else KILLED
    return SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED


def outcomes(queue: Iterator[Mutant], jobs: int) -> Iterator[Outcome]:
    """Run them, `jobs` at a time."""
    running: dict[int, tuple[Mutant, float]] = {}
    for mutant in queue:
        if len(running) >= jobs:
            yield reap(running)
        running[fork(mutant, None)] = mutant, time.monotonic()
    while running:
        yield reap(running)


def reap(running: dict[int, tuple[Mutant, float]]) -> Outcome:
    """The next one that ends."""
    pid, status = os.wait()
    mutant, began = running.pop(pid)
    return Outcome(mutant, fate(status), time.monotonic() - began)


def healthy() -> bool:
    """Whether the tests pass on the source as it stands; else every mutant would seem to be killed."""
    output = Path(os.devnull)
    _, status = os.waitpid(fork(None, Path("/dev/stderr") if sys.stderr.isatty() else output), 0)
    return status == 0


def main() -> int:
    """Print survivors that are not listed; 0 when there are none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time (default: one a core)")
    parser.add_argument("--only", default="", help="mutants whose name contains this text")
    arguments = parser.parse_args()
    for name in WARM:
        importlib.import_module(name)
    began = time.monotonic()
    if not healthy():
        print("the tests fail on the source as it stands; run them with pytest first", file=sys.stderr)
        return 2
    listed = LISTED.read_text(encoding="utf-8") if LISTED.exists() else ""
    found = list(all_mutants(arguments.only))
    counts = {KILLED: 0, SURVIVED: 0, ENDLESS: 0}
    unlisted = 0
    for done, outcome in enumerate(outcomes(iter(found), max(1, arguments.jobs)), 1):
        counts[outcome.fate] += 1
        if outcome.fate == SURVIVED:
            known = f"`{outcome.mutant.name}`" in listed
            unlisted += not known
            print(f"{'listed  ' if known else 'SURVIVED'} line {outcome.mutant.line:3}  {outcome.mutant.name}", flush=True)
        if done % 50 == 0:
            print(f"  {done}/{len(found)} mutants, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(
        f"{len(found)} mutants in {time.monotonic() - began:.0f} s: {counts[KILLED]} killed, {counts[ENDLESS]} endless, "
        f"{counts[SURVIVED]} survived, {unlisted} of these not listed in {LISTED.relative_to(ROOT)}"
    )
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
