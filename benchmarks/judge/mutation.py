"""`make mutation`: would the tests notice, if the modules that decide were slightly wrong?

pytest collects the tests once, a first run tells which functions each test calls, and then each mutant (see `mutants`)
is put in place in a process forked from that one, which runs the tests that call what was changed, quick ones first,
until one fails. A mutant that no test fails for must be named in docs/statistics/mutation.md with the reason why it
changes no verdict; else the exit status is 1.
"""

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

from benchmarks.judge.graft import graft
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
        "STALE", "ALONE", "JUST_BELOW", "Release.decide", "Release._weigh", "Release._cap", "Release._doubtful",
        "Release._luck", "Release.log_harm", "Release._log_harms", "Release._log_healths", "Release._worst",
    ),
    "verdict": ("per_metric_threshold", "tolerated_points"),
}  # fmt: skip
"""Modules that decide or combine, and which of their functions and constants: all, where none are named."""

TESTS = (
    "deciding", "combining", "users_signs_spread", "restarts", "watermark_strata", "criteria_budget_forecast", "one_sided",
    "release",
)  # fmt: skip
"""tests/judge/test_*.py."""

CPU_SECONDS = 60
MEMORY = 4 << 30
KILLED, SURVIVED, ENDLESS = "killed", "survived", "endless"
CRASHED = 70


@dataclass(frozen=True, slots=True)
class Called:
    """Which functions of the judge each test calls (`module.qualified.name`), and the seconds that it takes."""

    seconds: list[float]
    functions: list[set[str]]

    def tests_of(self, mutant: Mutant) -> list[int]:
        """Positions of the tests that may notice, quick ones first; of a constant all, those that enter its module first."""
        name, room = f"{mutant.module}.{mutant.where}", f"{mutant.module}."
        known = [i for i, names in enumerate(self.functions) if name in names]
        if known:
            return sorted(known, key=lambda i: self.seconds[i])
        enters = [any(one.startswith(room) for one in names) for names in self.functions]
        return sorted(range(len(enters)), key=lambda i: (not enters[i], self.seconds[i]))


@dataclass(slots=True)
class Mutation:
    """A pytest plugin that runs mutants in place of the tests."""

    jobs: int
    only: str
    status: int = 2

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """With all tests collected."""
        began = time.monotonic()
        called = self._first_run(session.items)
        if called is None:
            print("a test fails on the source as it stands; run them with pytest first", file=sys.stderr)
            return True
        print(f"{len(session.items)} tests, first run {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        listed = LISTED.read_text(encoding="utf-8") if LISTED.exists() else ""
        found = list(all_mutants(self.only))
        counts, unlisted = dict.fromkeys((KILLED, SURVIVED, ENDLESS), 0), 0
        for done, (mutant, fate) in enumerate(self._fates(found, session.items, called), 1):
            counts[fate] += 1
            if fate == SURVIVED:
                known = f"`{mutant.name}`" in listed
                unlisted += not known
                print(f"{'listed  ' if known else 'SURVIVED'} line {mutant.line:3}  {mutant.name}", flush=True)
            if done % 100 == 0:
                print(f"  {done}/{len(found)} mutants, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        print(
            f"{len(found)} mutants in {time.monotonic() - began:.0f} s: {counts[KILLED]} killed, {counts[ENDLESS]} endless, "
            f"{counts[SURVIVED]} survived, {unlisted} of these not listed in {LISTED.relative_to(ROOT)}"
        )
        self.status = 1 if unlisted else 0
        return True

    def _first_run(self, items: list[pytest.Item]) -> Called | None:
        """In a child, because tests leave traces; None when one fails."""
        reading, writing = os.pipe()

        def body() -> int:
            seconds, functions = [], []
            for item in items:
                names: set[str] = set()
                sys.settrace(_noting(names))
                began = time.process_time()
                passed = passes(item)
                sys.settrace(None)
                if not passed:
                    print(f"FAILED {item.nodeid}", file=sys.stderr)
                    return 1
                seconds.append(time.process_time() - began)
                functions.append(sorted(names))
            with os.fdopen(writing, "w") as pipe:
                json.dump([seconds, functions], pipe)
            return 0

        pid = fork(body, silent=False)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            told = pipe.read()
        os.waitpid(pid, 0)
        if not told:
            return None
        seconds, functions = json.loads(told)
        return Called(seconds, [set(names) for names in functions])

    def _fates(self, found: list[Mutant], items: list[pytest.Item], called: Called) -> Iterator[tuple[Mutant, str]]:
        running: dict[int, Mutant] = {}
        for mutant in found:
            if len(running) >= self.jobs:
                yield reap(running)
            chosen = [items[i] for i in called.tests_of(mutant)]
            running[fork(_trial(mutant, chosen), silent=True)] = mutant
        while running:
            yield reap(running)


def _trial(mutant: Mutant, items: list[pytest.Item]) -> Callable[[], int]:
    def body() -> int:
        graft(f"penstock.judge.{mutant.module}", mutant.tree())
        return 0 if all(passes(item) for item in items) else 1

    return body


def _noting(names: set[str]) -> Callable[..., None]:
    room = str(JUDGE)

    def note(frame: object, event: str, _argument: object) -> None:
        code = frame.f_code  # type: ignore[attr-defined]
        if event == "call" and code.co_filename.startswith(room):
            names.add(f"{Path(code.co_filename).stem}.{code.co_qualname.split('.<locals>')[0]}")

    return note


def passes(item: pytest.Item) -> bool:
    """Run one test with its fixtures."""
    item.config.hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    return all(not report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def all_mutants(only: str) -> Iterator[Mutant]:
    """Of every module, those whose name contains `only`."""
    for module, parts in MODULES.items():
        source = (JUDGE / f"{module}.py").read_text(encoding="utf-8")
        yield from (mutant for mutant in mutants(module, source, parts) if only in mutant.name)


def fork(body: Callable[[], int], *, silent: bool) -> int:
    """A child process that exits with what `body` returns, within limits; its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = CRASHED
    try:
        if silent:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
        status = body()
    finally:
        sys.stderr.flush()
        os._exit(status)


def reap(running: dict[int, Mutant]) -> tuple[Mutant, str]:
    """The next mutant whose process ends, and its fate."""
    pid, status = os.wait()
    mutant = running.pop(pid)
    if os.WIFSIGNALED(status):
        return mutant, ENDLESS if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else KILLED
    return mutant, SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED


def main() -> int:
    """Print survivors; 0 when all are listed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time (default: one a core)"
    )
    parser.add_argument("--only", default="", help="mutants whose name contains this text")
    arguments = parser.parse_args()
    settings.register_profile("mutation", max_examples=15, derandomize=True, database=None, deadline=None)
    settings.load_profile("mutation")
    mutation = Mutation(max(1, arguments.jobs), arguments.only)
    files = [str(ROOT / "tests" / "judge" / f"test_{name}.py") for name in TESTS]
    options = [
        "-q",
        "--no-header",
        "--no-summary",
        "--assert=plain",
        "--capture=no",
        "--timeout=0",
        "--rootdir",
        str(ROOT),
    ]
    collected = pytest.main([*options, "-p", "no:cacheprovider", "-p", "no:xdist", *files], plugins=[mutation])
    return mutation.status if collected in (0, 5) else 2


if __name__ == "__main__":
    sys.exit(main())
