"""The rules by which other tools take a release back, applied to the same rows: what they do when nothing is wrong.

- A z-test of two proportions, looked at after every interval: what a dashboard with a p-value amounts to.
- Mann-Whitney by the rule of Kayenta's NetflixACAJudge: the 98 % confidence interval of the Hodges-Lehmann shift of the
  per-interval error rates lies above a quarter of the shift (reference monitoring-statistics 2.1 item 15).
- Flagger: success rate below 99 % in `threshold` (5) checks takes it back.
- Argo Rollouts: one measurement with a success rate below 99 % (failureLimit 0, as its documentation's example).
"""

from collections.abc import Iterator

import numpy as np
from penstock.judge.criteria import Arm
from penstock.judge.rows import Row
from scipy.stats import norm

INTERVAL = 10
"""Seconds between looks of the peers."""

Looks = np.ndarray
"""Shape (intervals, 2 arms, 2): requests and failures of stable and candidate per interval."""


def intervals(source: Iterator[Row]) -> Looks:
    """Sum rows into the peers' intervals, all routers together, as a metrics query does."""
    sums: dict[int, np.ndarray] = {}
    for row in source:
        cell = sums.setdefault(int(row.t) // INTERVAL, np.zeros((2, 2)))
        cell[0 if row.arm is Arm.STABLE else 1] += (row.requests, row.events[0])
    return np.array([sums[i] for i in sorted(sums)])


def peeked_z(looks: Looks, alpha: float) -> bool:
    """One-sided pooled z-test on running totals at every look."""
    totals = np.cumsum(looks, axis=0)
    (n_s, x_s), (n_c, x_c) = totals[:, 0].T, totals[:, 1].T
    pooled = (x_s + x_c) / np.maximum(1, n_s + n_c)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(1, n_s) + 1 / np.maximum(1, n_c)))
    usable = deviation > 0
    z = np.where(usable, (x_c / np.maximum(1, n_c) - x_s / np.maximum(1, n_s)) / np.where(usable, deviation, 1), 0)
    return bool((z > norm.isf(alpha)).any())


def kayenta(looks: Looks, alpha: float) -> bool:
    """NetflixACAJudge's rule on the per-interval rates, at every look from the fifth on; `alpha` is fixed by its 98 %."""
    del alpha
    rates = looks[:, :, 1] / np.maximum(1, looks[:, :, 0])
    for end in range(5, len(rates) + 1):
        differences = np.sort(np.subtract.outer(rates[:end, 1], rates[:end, 0]).ravel())
        shift = float(np.median(differences))
        spread = np.sqrt(end * end * (2 * end + 1) / 12)
        position = int(np.floor(end * end / 2 - norm.isf(0.01) * spread))
        low = differences[max(0, position)]
        if low > 0.25 * abs(shift) and low > 0:
            return True
    return False


def flagger(looks: Looks, alpha: float) -> bool:
    """Five checks below 99 % success."""
    del alpha
    return int((_success(looks) < 0.99).sum()) >= 5


def argo(looks: Looks, alpha: float) -> bool:
    """One measurement below 99 % success."""
    del alpha
    return bool((_success(looks) < 0.99).any())


def _success(looks: Looks) -> np.ndarray:
    requests, failed = looks[:, 1].T
    return np.where(requests > 0, 1 - failed / np.maximum(1, requests), 1.0)
