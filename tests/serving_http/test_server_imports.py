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
