"""Calls of a model on one row, without a server: `python -m benchmarks.serving.bare JOBLIB ROOT DIGEST COLUMNS`.

Prints the median times in seconds, as JSON: scikit-learn's `predict`, and what Penstock serves instead.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from penstock_serving.model.files import model_directory
from penstock_serving.model.load import load_model

_CALLS = 200


def median_seconds(method: Callable[[Any], Any], columns: int) -> float:
    """The median time of a call on one row."""
    rows = np.random.default_rng(0).normal(size=(_CALLS, columns))
    times = []
    for at in range(_CALLS):
        began = time.perf_counter()
        method(rows[at : at + 1])
        times.append(time.perf_counter() - began)
    return float(np.median(times))


if __name__ == "__main__":
    _path, _root, _digest, _columns = sys.argv[1:]
    _served = load_model(model_directory(Path(_root), _digest), _digest).method("predict")
    _found = {
        "scikit_learn": median_seconds(joblib.load(_path).predict, int(_columns)),
        "served": median_seconds(_served, int(_columns)),
    }
    print(json.dumps(_found))
