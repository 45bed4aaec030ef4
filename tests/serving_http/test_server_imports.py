"""What a pod holds in memory: a server of a compiled model imports no more than it serves by."""

import subprocess
import sys

HEAVY = ("sklearn", "joblib", "scipy", "pandas", "onnx", "grpc", "skops", "penstock_serving.explain.client")


def test_the_server_imports_nothing_that_only_some_models_need() -> None:
    program = f"import sys, penstock_serving.server.main; print([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
