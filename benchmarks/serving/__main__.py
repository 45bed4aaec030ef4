"""`make bench-serving`: the model server beside others, one core each. Writes docs/benchmarks/serving.md and its chart.

What was measured is kept in serving.json beside it, even where a run fails; `--add` measures more of the same.
"""

import argparse
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
    parser.add_argument("--add", action="store_true", help="to what is in serving.json there, measured before")
    arguments = parser.parse_args()
    for peer in PEERS:
        if not arguments.servers or any(peer.name in server for server in arguments.servers):
            environment(peer)
    chosen = arguments.models or list(estimators())
    arguments.report.mkdir(parents=True, exist_ok=True)
    kept = arguments.report / "serving.json"
    before = Results.kept(kept) if arguments.add else Results([], {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("  fitting and packaging …", file=sys.stderr, flush=True)
        cases = [make(model, folder / "models") for model in chosen]
        effort = Effort(arguments.rounds, arguments.seconds, arguments.open_runs, arguments.peer_open_runs)
        rounds = Rounds(cases, arguments.servers, effort, folder / "run")
        try:
            rounds.all()
        finally:
            results = before.with_more(rounds.samples, {case.name: case.backend for case in cases})
            results.keep(kept)
    write(results, arguments.report)
    print(f"{arguments.report / 'serving.md'}")


if __name__ == "__main__":
    main()
