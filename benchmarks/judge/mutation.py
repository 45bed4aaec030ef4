"""`make mutation`: would the tests notice, if the modules that decide were slightly wrong?

Each mutant (see `mutants`) is run in a process of its own, forked from one that has imported the libraries and read the
source: it imports the judge with the changed module in place and runs the tests until one fails. A mutant that no test
fails for must be named in docs/statistics/mutation.md with the reason why it changes no verdict; else the exit status is 1.
"""

import argparse
import importlib
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

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
    "doubt": (),
    "release": (
        "STALE", "ALONE", "JUST_BELOW", "Release.decide", "Release._weigh", "Release._cap",
        "Release._doubtful", "Release._luck", "Release.log_harm", "Release._log_harms", "Release._log_healths",
        "Release._worst",
    ),
    "verdict": ("per_metric_threshold", "tolerated_points"),
}  # fmt: skip
"""Modules that decide or combine, and which of their functions and constants: all, where none are named."""

TESTS = (
    "deciding", "combining", "users_signs_spread", "restarts", "watermark_strata", "criteria_budget_forecast", "one_sided",
    "release",
)  # fmt: skip
"""tests/judge/test_*.py, quick ones first."""

PLUGINS = ("pytest_timeout", "_hypothesis_pytestplugin")
"""Of pytest's plugins those that the tests need; no other is loaded."""

WARM = ("numpy", "scipy.stats", "hypothesis.strategies", *PLUGINS)
"""Imported once, before forking, besides pytest."""

FAILED_TO_IMPORT = 70
CPU_SECONDS = 120
MEMORY = 4 << 30
KILLED, SURVIVED, ENDLESS = "killed", "survived", "endless"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant, and the seconds that it took."""

    mutant: Mutant
    fate: str
    seconds: float


def put_in_place(mutant: Mutant) -> None:
    """Import the changed module before anything imports the sound one."""
    package = importlib.import_module("penstock.judge")
    name, path = f"penstock.judge.{mutant.module}", JUDGE / f"{mutant.module}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    setattr(package, mutant.module, module)
    exec(compile(mutant.tree, str(path), "exec"), module.__dict__)


def wanted(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """Which functions and constants of a module are to be changed."""
    return lambda where: not parts or where in parts


def all_mutants(only: str) -> Iterator[Mutant]:
    """Of every module, those whose name contains `only`."""
    for module, parts in MODULES.items():
        source = (JUDGE / f"{module}.py").read_text(encoding="utf-8")
        yield from (mutant for mutant in mutants(module, source, wanted(parts)) if only in mutant.name)


def run_tests(mutant: Mutant | None) -> int:
    """pytest's exit status, in this very process, which is then good for nothing else."""
    settings.register_profile("mutation", max_examples=15, derandomize=True, database=None, deadline=None)
    settings.load_profile("mutation")
    if mutant is not None:
        put_in_place(mutant)
    files = [str(ROOT / "tests" / "judge" / f"test_{name}.py") for name in TESTS]
    options = ["-x", "-q", "--tb=line", "--assert=plain", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    options += [option for plugin in PLUGINS for option in ("-p", plugin)]
    return int(pytest.main([*options, *files]))


def fork(mutant: Mutant | None) -> int:
    """A child process that runs the tests; its pid. It exits with pytest's status, and says nothing but for no mutant."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(2 if mutant is None else silence, 1)
    if mutant is not None:
        os.dup2(silence, 2)
    status = FAILED_TO_IMPORT
    try:
        status = run_tests(mutant)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
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
        running[fork(mutant)] = mutant, time.monotonic()
    while running:
        yield reap(running)


def reap(running: dict[int, tuple[Mutant, float]]) -> Outcome:
    """The next one that ends."""
    pid, status = os.wait()
    mutant, began = running.pop(pid)
    return Outcome(mutant, fate(status), time.monotonic() - began)


def healthy() -> bool:
    """Whether the tests pass on the source as it stands; else every mutant would seem to be noticed."""
    _, status = os.waitpid(fork(None), 0)
    return status == 0


def main() -> int:
    """Print survivors that are not listed; 0 when there are none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time (default: one a core)"
    )
    parser.add_argument("--only", default="", help="mutants whose name contains this text")
    arguments = parser.parse_args()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
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
            print(
                f"{'listed  ' if known else 'SURVIVED'} line {outcome.mutant.line:3}  {outcome.mutant.name}", flush=True
            )
        if done % 50 == 0:
            print(f"  {done}/{len(found)} mutants, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(
        f"{len(found)} mutants in {time.monotonic() - began:.0f} s: {counts[KILLED]} killed, {counts[ENDLESS]} endless, "
        f"{counts[SURVIVED]} survived, {unlisted} of these not listed in {LISTED.relative_to(ROOT)}"
    )
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
