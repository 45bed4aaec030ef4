"""Makes `fraud.jsonl`: counters of three made-up releases, as the routers would send them. For `penstock replay`."""

import json
import sys

import numpy as np

RELEASES = {"v2": (0.004, 0.004), "v3": (0.004, 0.3), "v4": (0.004, 0.03)}
"""Stable's and the candidate's rate of failures."""

STEPS = ((0, 1), (60, 5), (180, 25), (300, 50))
"""From which second on the candidate has which percent."""


def main() -> None:
    """Write JSON Lines to standard output."""
    rng = np.random.default_rng(7)
    for second in range(900):
        version, weight = max((i, percent) for i, (start, percent) in enumerate(STEPS) if start <= second)
        for release, (stable, candidate) in RELEASES.items():
            total = int(rng.poisson(60))
            mine = int(rng.binomial(total, weight / 100))
            for arm, requests, rate in (("stable", total - mine, stable), ("candidate", mine, candidate)):
                row = {
                    "release": release,
                    "t": float(second),
                    "router": "a",
                    "version": version,
                    "arm": arm,
                    "weight": weight,
                    "requests": requests,
                    "failed": int(rng.binomial(requests, rate)),
                    "refused": int(rng.binomial(requests, 0.002)),
                    "slow": {"slow": int(rng.binomial(requests, 0.03))},
                }
                sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
