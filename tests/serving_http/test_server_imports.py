"""What a pod holds in memory: a server of a compiled model imports no more than it serves by."""

import subprocess
import sys

HEAVY = ("sklearn", "joblib", "scipy", "pandas", "onnx", "grpc", "skops")
EXPLAIN = "penstock_serving.explain"
HOW_IT_IS_STARTED = {EXPLAIN, f"{EXPLAIN}.limits", f"{EXPLAIN}.starter", f"{EXPLAIN}.starting"}


def test_the_server_imports_nothing_that_only_some_models_need() -> None:
    program = "import sys, penstock_serving.server.main; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {*HEAVY} & {*said}
    assert {name for name in said if name.startswith(EXPLAIN)} == HOW_IT_IS_STARTED


UNNEEDED = ("pandas", "rich", "unittest", "numpy.f2py", "numpy.testing")
"""What scikit-learn or SciPy import where it is installed, and compute nothing by."""


def test_scikit_learn_comes_without_what_no_model_computes_by() -> None:
    program = f"""
import sys
from penstock_serving.model.libraries import import_scikit_learn
import_scikit_learn()
import sklearn.ensemble, sklearn.neighbors, sklearn.pipeline
print(*(name for name in {UNNEEDED} if name in sys.modules), end="|")
import numpy, rich, unittest
numpy.testing.assert_array_equal([1], [1])
print(numpy.f2py.__name__, rich.__name__, "f2py" in vars(numpy))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "|numpy.f2py rich True\n"
