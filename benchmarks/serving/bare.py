"""Calls of a model on one row, without a server: `python -m benchmarks.serving.bare JOBLIB ROOT DIGEST COLUMNS`.

A machine's speed changes by the minute, so what a server adds to the call is told by calls just before and after it:
each line `scikit_learn` or `served` is answered by the median time of such calls now, in seconds: of the estimator's
`predict`, or of what Penstock serves in its place, called from Python, which natively it does not do.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from penstock_serving.model.files import model_directory
from penstock_serving.model.load import load_model

from benchmarks.serving.models import Case
from benchmarks.serving.servers import ONE_THREAD

SCIKIT_LEARN, SERVED = "scikit_learn", "served"
_CALLS, _SECONDS = 200, 0.2


def median_seconds(method: Callable[[Any], Any], columns: int) -> float:
    """The median time of calls on one row, within 0.2 s."""
    rows = np.random.default_rng(0).normal(size=(_CALLS, columns))
    times = list[float]()
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        at = len(times) % _CALLS
        began = time.perf_counter()
        method(rows[at : at + 1])
        times.append(time.perf_counter() - began)
    return float(np.median(times))


@contextmanager
def calling(case: Case, core: int) -> Iterator[Callable[[str], float]]:
    """A process on a core that times calls whenever it is asked to."""
    words = [str(case.joblib), str(case.root), case.digest, str(case.columns)]
    command = ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.serving.bare", *words]
    environment = os.environ | ONE_THREAD
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asks, answers = process.stdin, process.stdout

        def seconds(what: str) -> float:
            asks.write(f"{what}\n")
            asks.flush()
            said = answers.readline()
            if not said:
                raise RuntimeError(f"the process that calls {case.name} has ended: see what it said above")
            return float(json.loads(said))

        yield seconds


if __name__ == "__main__":
    _path, _root, _digest, _columns = sys.argv[1:]
    _methods = {
        SCIKIT_LEARN: joblib.load(_path).predict,
        SERVED: load_model(model_directory(Path(_root), _digest), _digest).method("predict"),
    }
    for _line in sys.stdin:
        print(json.dumps(median_seconds(_methods[_line.strip()], int(_columns))), flush=True)
