"""`make bench-judge`: false rollbacks of the judge beside the peers' rules, power, and the cost of a look. Markdown."""

import argparse
import math
import sys
import time

import numpy as np

from benchmarks.judge.cells import CELLS
from benchmarks.judge.level import ALPHAS, measure
from benchmarks.judge.peers import argo, flagger, intervals, kayenta, peeked_z
from benchmarks.judge.power import power_rows
from benchmarks.judge.speed import speed_rows

PEERS = (
    ("z-test, peeked", peeked_z),
    ("Mann-Whitney (Kayenta)", kayenta),
    ("Flagger", flagger),
    ("Argo Rollouts", argo),
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, help="per cell, instead of each cell's own number")
    parser.add_argument("--peer-releases", type=int, default=200)
    arguments = parser.parse_args()
    started = time.monotonic()
    print("## False rollbacks of candidates within tolerance\n")
    names = " | ".join(name for name, _ in PEERS)
    print(f"| situation | releases | Penstock, α = 1 % | Penstock, α = 5 % | {names} |")
    print("|---" * (4 + len(PEERS)) + "|")
    for position, cell in enumerate(CELLS):
        level = measure(position, arguments.releases)
        ours = " | ".join(f"{crossed / level.releases:.2%}" for crossed in level.crossings)
        looks = [
            intervals(cell.source(np.random.default_rng([1_000 + position, i]), i))
            for i in range(arguments.peer_releases)
        ]
        theirs = " | ".join(f"{np.mean([rule(look, ALPHAS[1]) for look in looks]):.0%}" for _, rule in PEERS)
        print(f"| {cell.name} | {level.releases:,} | {ours} | {theirs} |", flush=True)
        print(f"  {position + 1}/{len(CELLS)} cells, {time.monotonic() - started:.0f} s", file=sys.stderr)
    print("\n## Requests to a rollback\n")
    print("| situation | measured | bound log(1/α)/KL | ratio |\n|---|---|---|---|")
    for name, measured, bound in power_rows():
        ratio = "" if math.isnan(bound) else f"{measured / bound:.2f}"
        print(f"| {name} | {measured:,.1f} | {'' if math.isnan(bound) else f'{bound:,.0f}'} | {ratio} |", flush=True)
    print("\n## Cost of a look\n\n| one guardrail, one stratum | µs |\n|---|---|")
    for name, micros in speed_rows():
        print(f"| {name} | {micros:.0f} |", flush=True)


if __name__ == "__main__":
    main()
