"""What our server takes: `python -m benchmarks.serving.footprint`.

Seconds from exec to the first right answer, on one core and with nothing else on it; and memory after a load of 64
connections, with gRPC on, by one worker and by each further one. Memory is PSS: pages that processes share are counted by
their share. Large packages that are in memory are named, so that it is seen which a compiled model does without.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks.serving.load import Load
from benchmarks.serving.measure import CLOSED, LOAD_CORE, SERVER_CORE
from benchmarks.serving.models import Case, estimators, make
from benchmarks.serving.servers import OURS, free_port, running

LARGE = ("sklearn", "scipy", "pandas", "shap", "onnxruntime", "grpc")
LOAD_SECONDS = 2.0
WORKERS = 2


def starts(case: Case, folder: Path, count: int) -> list[float]:
    """Seconds of starts with one worker, gRPC on."""
    found = []
    for _ in range(count):
        with running(OURS, case, SERVER_CORE, folder, _settings(1)) as server:
            found.append(server.ready_seconds)
    return found


def memory(case: Case, folder: Path, workers: int) -> tuple[int, list[str]]:
    """Bytes of the server's processes after a load, and the large packages in them."""
    with running(OURS, case, SERVER_CORE, folder, _settings(workers)) as server:
        Load(LOAD_CORE).run(server.port, server.plan.path, server.plan.bodies, CLOSED[-1], LOAD_SECONDS)
        return server.memory, server.mapped(LARGE)


def _settings(workers: int) -> dict[str, str]:
    return {"PENSTOCK_WORKERS": str(workers), "PENSTOCK_GRPC_PORT": str(free_port())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.footprint", description=__doc__)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--models", nargs="*", default=list(estimators()), choices=list(estimators()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in arguments.models:
            case = make(model, folder / "models")
            took = starts(case, folder / f"run-{model}", arguments.starts)
            one, packages = memory(case, folder / f"run-{model}", 1)
            more, _ = memory(case, folder / f"run-{model}", WORKERS)
            print(
                f"{model}, {case.backend}: {statistics.median(took):.2f} s to the first answer ({min(took):.2f} to "
                f"{max(took):.2f}, {len(took)} starts); {one / 1e6:.0f} MB, {(more - one) / (WORKERS - 1) / 1e6:.0f} MB "
                f"for a further worker; in memory: {', '.join(packages)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
