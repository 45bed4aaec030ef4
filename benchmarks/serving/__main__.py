"""`make bench-serving`: the model server beside others, one core each. Writes docs/benchmarks/serving.md and its chart."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.serving.measure import Effort, Rounds
from benchmarks.serving.models import estimators, make
from benchmarks.serving.peers import PEERS, environment
from benchmarks.serving.report import Results, write
from benchmarks.serving.servers import names

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of every run")
    parser.add_argument("--open-runs", type=int, default=9, help="of each open loop")
    parser.add_argument("--peer-open-runs", type=int, default=3, help="of those of the others")
    parser.add_argument("--models", nargs="*", default=[], choices=list(estimators()))
    parser.add_argument("--servers", nargs="*", default=[], choices=names())
    parser.add_argument("--report", type=Path, default=DOCS, help="the folder of the report")
    arguments = parser.parse_args()
    for peer in PEERS:
        if not arguments.servers or any(peer.name in server for server in arguments.servers):
            environment(peer)
    chosen = arguments.models or list(estimators())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("  fitting and packaging …", file=sys.stderr, flush=True)
        cases = [make(model, folder / "models") for model in chosen]
        effort = Effort(arguments.rounds, arguments.seconds, arguments.open_runs, arguments.peer_open_runs)
        samples = Rounds(cases, arguments.servers, effort, folder / "run").all()
    backends = {case.name: case.backend for case in cases}
    said = (
        f"{effort.rounds} rounds of {effort.seconds:g} s, {effort.open_runs} runs of each open loop "
        f"({effort.peer_open_runs} for the others)."
    )
    arguments.report.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"backends": backends, "samples": samples}, indent=1)
    (arguments.report / "serving.json").write_text(content + "\n")
    write(Results(samples, backends), said, arguments.report)
    print(f"{arguments.report / 'serving.md'}")


if __name__ == "__main__":
    main()
