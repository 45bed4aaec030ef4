"""The promise of falseRollback, kept by everything from the ledgers to the move: good candidates are hardly ever taken
back, whatever traffic, hours, incidents and routers do."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parent))

from alike_releases import NO_TOLERANCE, SECONDS, Routers, Truth, end_of
from penstock.api.rollout import Rollout
from penstock.reconcile.criteria import criteria_of
from penstock.router.routing import Role

pytestmark = [pytest.mark.level, pytest.mark.timeout(1800)]

SEED = 20261124
ALPHA = 0.01


def truth_of(index: int, harm: float = 1.0) -> tuple[Truth, np.random.Generator]:
    rng = np.random.default_rng([SEED, index])
    return Truth.drawn(rng, harm), rng


@pytest.mark.parametrize("releases", [1_000, pytest.param(10_000, marks=pytest.mark.campaign)])
def test_a_candidate_as_good_as_stable_is_taken_back_in_at_most_one_release_of_a_hundred(releases: int) -> None:
    ends = [end_of(*truth_of(index)) for index in range(releases)]
    taken_back = sum(end.startswith("RolledBack") for end in ends)
    allowed = int(binom.ppf(0.999, releases, ALPHA))
    assert taken_back <= allowed, f"{taken_back} of {releases} were taken back, at most {allowed} may be"
    weights = {end.rpartition(" ")[2] for end in ends}
    assert weights >= {"10", "25", "50"}, "the weight was raised in steps"
    assert sum(end.endswith(" 50") for end in ends) > releases / 4, "many releases came to the last step"


def test_by_the_default_criteria_it_is_not_taken_back_either() -> None:
    criteria = criteria_of(Rollout())
    ends = [end_of(*truth_of(index), criteria) for index in range(200)]
    assert sum(end.startswith("RolledBack") for end in ends) <= int(binom.ppf(0.999, 200, ALPHA))


def test_the_simulation_can_tell_a_bad_candidate() -> None:
    ends = [end_of(*truth_of(index, harm=5.0), NO_TOLERANCE) for index in range(100)]
    assert sum(end.startswith("RolledBack") for end in ends) >= 70


def test_the_simulation_is_hard_a_rule_that_pools_and_peeks_takes_many_good_candidates_back() -> None:
    """Were the ledgers' noise or their hours too tame, every rule would look as good."""
    taken_back = sum(_pooling_rule(*truth_of(index)) for index in range(400))
    assert taken_back > 10 * ALPHA * 400


def _pooling_rule(truth: Truth, rng: np.random.Generator) -> bool:
    """Whether a z-test at 1 % over all counts so far takes the candidate back at any second; the weight goes up in time."""
    routers = Routers(truth, rng)
    for step, weight in enumerate((25, 50), start=1):
        routers.follow(step * SECONDS // 3, 4 + step, weight)
    counts = {Role.CANDIDATE: [0, 0], Role.STABLE: [0, 0]}
    for second in range(SECONDS):
        for pod in (0, 1):
            for row in routers.rows(pod, second):
                counts[row.arm][0] += row.tally.requests
                counts[row.arm][1] += row.tally.failed
        (n, bad), (m, other) = counts[Role.CANDIDATE], counts[Role.STABLE]
        rate = (bad + other) / max(1, n + m)
        spread = math.sqrt(rate * (1 - rate) * (1 / max(1, n) + 1 / max(1, m)))
        if spread > 0 and (bad / max(1, n) - other / max(1, m)) / spread > 2.326:
            return True
    return False
