"""Bounds that the explaining process puts on itself, so that it cannot starve what predicts. Standard library only."""

import contextlib
import math
import os
import resource
import time
from pathlib import Path

_OOM_SCORE = Path("/proc/self/oom_score_adj")
_STATUS = Path("/proc/self/statm")


def step_back(priority: str) -> None:
    """Use one thread, be the first to go when memory runs out and, unless `priority` is "shared", run only when nothing
    else wants the CPU.

    Where the kernel offers no idle class, the lowest priority has to do.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if priority == "shared":
        return
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def limit_memory(more: int) -> None:
    """Allow `more` bytes of address space beyond what is mapped now; an allocation beyond raises `MemoryError`."""
    held = int(_STATUS.read_text().split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, held + more)


def limit_cpu(seconds: float) -> None:
    """Let the kernel end this process after `seconds` of CPU from now, rounded up and one more."""
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds) + 1)


def _limit(what: int, wanted: int) -> None:
    """Set a soft limit, at most the hard one. A process that has confined itself to unpickle keeps those that it has."""
    _, hard = resource.getrlimit(what)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
