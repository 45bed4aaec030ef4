"""How many threads may predict: what the container's CPU quota allows, not what the node has."""

import math
import os
from pathlib import Path

_V2 = Path("/sys/fs/cgroup/cpu.max")
_V1_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_V1_PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def cpu_quota() -> float:
    """CPUs that this process may use: the cgroup's quota (version 2 or 1), else the CPUs it may run on."""
    affinity = float(len(os.sched_getaffinity(0)))
    try:
        if _V2.exists():
            quota, period = _V2.read_text().split()
        else:
            quota, period = _V1_QUOTA.read_text().strip(), _V1_PERIOD.read_text().strip()
    except OSError:
        return affinity
    limited = quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0
    return min(affinity, int(quota) / int(period)) if limited else affinity


def predict_threads() -> int:
    """The default number of predict threads: one per whole CPU, at least one."""
    return max(1, math.floor(cpu_quota()))


def limit_native_threads() -> None:
    """Let BLAS and OpenMP use one thread per prediction; to be called before numpy is first imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
