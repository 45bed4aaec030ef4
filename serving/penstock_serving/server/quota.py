"""What the container may use, not what the node has; and how many workers and threads that makes."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

MOST_WORKERS = 16
_CGROUP = Path("/sys/fs/cgroup")
_WORKER_BYTES = 160 << 20
_COPIES = 4
"""A worker holds the model, and while it opens it its file and what is made of it besides."""


@dataclass(frozen=True, slots=True)
class Quota:
    """CPUs and bytes of memory that this process may use; infinite where the cgroup sets no limit."""

    cpus: float
    memory: float


def read_quota(root: Path = _CGROUP) -> Quota:
    """The limits of the cgroup at `root`, version 2 or 1."""
    if (root / "cpu.max").exists():
        quota, _, period = _text(root / "cpu.max").partition(" ")
        memory = _text(root / "memory.max")
    else:
        quota, period = _text(root / "cpu/cpu.cfs_quota_us"), _text(root / "cpu/cpu.cfs_period_us")
        memory = _text(root / "memory/memory.limit_in_bytes")
    cpus = int(quota) / int(period) if _positive(quota) and _positive(period) else math.inf
    return Quota(cpus, float(memory) if _positive(memory) else math.inf)


def default_workers(quota: Quota, model_bytes: int) -> int:
    """One for each whole CPU that the container is limited to, as far as its memory holds them; one without a limit."""
    if math.isinf(quota.cpus):
        return 1
    return max(1, math.floor(min(MOST_WORKERS, quota.cpus, quota.memory / (_WORKER_BYTES + _COPIES * model_bytes))))


def default_threads(quota: Quota, workers: int) -> int:
    """Predict threads of each worker: one for each whole CPU that falls to it, at least one."""
    return max(1, math.floor(min(quota.cpus, len(os.sched_getaffinity(0))) / workers))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _positive(text: str) -> bool:
    return text.isdecimal() and int(text) > 0
