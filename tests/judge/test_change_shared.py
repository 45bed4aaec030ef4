"""Both arms worse together."""

from math import comb, exp

import numpy as np
import pytest
from penstock.judge.change import codec, shared
from penstock.judge.change.shared import ODDS, Counts, Exposure, Finding, SharedHarm
from scipy.stats import beta

CARRYING, WITHDRAWN = Exposure.CARRYING, Exposure.WITHDRAWN
BEFORE = Counts(20_000, 40)


def played(*rows: tuple[float, Exposure, int, int], before: Counts = BEFORE) -> SharedHarm:
    watch, state = shared.guard(before), SharedHarm()
    for time, exposure, requests, failures in rows:
        state = shared.advance(watch, state, time, exposure, Counts(requests, failures))
    return state


HEALTHY = [(float(t), CARRYING, 100, 0) for t in range(50)]
HARM = [(50.0 + t, CARRYING, 100, 30) for t in range(5)]
STILL = [(60.0 + t, WITHDRAWN, 100, 30) for t in range(10)]
LATER_STILL = [(400.0 + t, WITHDRAWN, 100, 30) for t in range(3)]
LATER_WELL = [(410.0 + t, WITHDRAWN, 100, 0) for t in range(30)]
WELL = [(70.0 + t, WITHDRAWN, 100, 0) for t in range(30)]


@pytest.mark.parametrize(
    ("rows", "finding"),
    [
        pytest.param([], Finding.CLEAR, id="nothing seen"),
        pytest.param(HEALTHY, Finding.CLEAR, id="as before"),
        pytest.param(HARM[:1], Finding.HARMED, id="thirty of a hundred at once"),
        pytest.param(HEALTHY + HARM, Finding.HARMED, id="late"),
        pytest.param(HEALTHY + HARM + HEALTHY, Finding.HARMED, id="harm is remembered while the candidate has weight"),
        pytest.param(HEALTHY + HARM + WELL[:1], Finding.WITHDRAWN, id="one good stratum proves nothing"),
        pytest.param(HEALTHY + HARM + STILL, Finding.WITHDRAWN, id="no recovery yet"),
        pytest.param(HEALTHY + HARM + WELL, Finding.RECOVERED, id="recovers at weight 0"),
        pytest.param(HEALTHY + HARM + STILL + WELL, Finding.RECOVERED, id="recovers after a queue has drained"),
        pytest.param(
            HEALTHY + HARM + STILL + LATER_STILL, Finding.PERSISTS, id="still failing after patience has ended"
        ),
        pytest.param(
            HEALTHY + HARM + STILL + LATER_STILL + LATER_WELL, Finding.PERSISTS, id="later recovery is its own"
        ),
        pytest.param(
            HEALTHY + HARM + STILL + LATER_WELL,
            Finding.RECOVERED,
            id="with few requests the proof may come after patience",
        ),
        pytest.param(HEALTHY + HARM + STILL + LATER_WELL[:2], Finding.WITHDRAWN, id="no proof of either yet"),
        pytest.param(HEALTHY + HARM + WELL + HARM, Finding.RECOVERED, id="a rollback is not taken back"),
        pytest.param(
            HEALTHY + HARM + WELL[:2] + HARM[:1] + WELL[:2],
            Finding.WITHDRAWN,
            id="weight in between starts the proof anew",
        ),
        pytest.param(WELL + STILL, Finding.CLEAR, id="weight 0 without harm is no matter of this guard"),
    ],
)
def test_findings(rows: list[tuple[float, Exposure, int, int]], finding: Finding) -> None:
    assert played(*rows).finding is finding


def test_a_guard_resumes_at_every_stratum_to_the_identical_finding() -> None:
    rows = HEALTHY + HARM + STILL + WELL
    watch, state = shared.guard(BEFORE), SharedHarm()
    for time, exposure, requests, failures in rows:
        text = codec.dumps(state)
        assert len(text) < 2000
        state = shared.advance(watch, codec.loads(SharedHarm, text), time, exposure, Counts(requests, failures))
    assert state == played(*rows)
    assert state.finding is Finding.RECOVERED


def test_without_requests_before_the_release_there_is_nothing_to_compare_with() -> None:
    assert played(*HARM, before=Counts(0, 0)).finding is Finding.NO_BASELINE


@pytest.mark.parametrize(
    ("before", "limit"),
    [
        (Counts(1000, 10), max(2 * beta.ppf(0.995, 11, 990), beta.ppf(0.995, 11, 990) + 0.01)),
        (Counts(1_000_000, 0), beta.ppf(0.995, 1, 1_000_000) + 0.01),
        (Counts(10, 8), 1.0),
        (Counts(10, 10), 1.0),
    ],
)
def test_the_limit_is_beyond_both_margins_of_the_upper_bound_of_the_rate_before(before: Counts, limit: float) -> None:
    assert shared.guard(before).limit == pytest.approx(limit)


def test_a_service_that_always_failed_is_never_held_for_failing() -> None:
    assert played(*HARM, *[(200.0, CARRYING, 1000, 1000)] * 20, before=Counts(10, 10)).finding is Finding.CLEAR


def test_at_most_alpha_of_releases_at_the_limit_are_ever_held() -> None:
    watch = shared.guard(BEFORE, alpha=0.05)
    assert watch.limit is not None
    rng = np.random.default_rng(11)
    failures = rng.binomial(20, watch.limit, (600, 120))
    held = 0
    for row in failures.tolist():
        state = SharedHarm()
        for time, failed in enumerate(row):
            state = shared.advance(watch, state, float(time), CARRYING, Counts(20, failed))
        held += state.finding is Finding.HARMED
    assert held / 600 <= 0.025 + 2 * (0.025 * 0.975 / 600) ** 0.5
    assert held > 0, "the bound would be vacuous if nothing was ever held"


def test_one_stratum_is_a_fair_bet_at_the_limit_and_a_losing_one_below() -> None:
    """The mean of the e-value over all outcomes of a stratum, exactly: at most one up to the limit, for harm and
    recovery."""
    watch = shared.guard(Counts(200, 10), alpha=0.05)
    assert watch.limit is not None
    for rate in (watch.limit, watch.limit / 2):
        outcomes = np.arange(8)
        chance = np.array([_binomial(7, x, rate) for x in outcomes])
        evalues = [
            exp(shared.advance(watch, SharedHarm(), 0.0, CARRYING, Counts(7, int(x))).harm.nats) for x in outcomes
        ]
        assert chance @ evalues <= 1 + 1e-12
        harmed = SharedHarm(Finding.HARMED)
        recovery = [
            exp(shared.advance(watch, harmed, 0.0, WITHDRAWN, Counts(7, int(x))).recovery.nats) for x in outcomes
        ]
        assert (chance @ recovery <= 1 + 1e-12) == (rate == watch.limit)


def _binomial(trials: int, hits: int, rate: float) -> float:
    return comb(trials, hits) * rate**hits * (1 - rate) ** (trials - hits)


def test_twice_the_limit_is_held_within_a_thousand_requests() -> None:
    watch = shared.guard(BEFORE)
    assert watch.limit is not None
    rng = np.random.default_rng(12)
    needed = []
    for _ in range(100):
        state, requests = SharedHarm(), 0
        while state.finding is Finding.CLEAR:
            counts = Counts(20, int(rng.binomial(20, 4 * watch.limit)))
            state, requests = shared.advance(watch, state, 0.0, CARRYING, counts), requests + 20
        needed.append(requests)
    assert np.median(needed) < 400


def test_harm_after_a_long_healthy_time_is_still_found_soon() -> None:
    rows = [(float(t), CARRYING, 1000, 2) for t in range(500)]
    assert played(*rows).finding is Finding.CLEAR
    assert played(*rows, *[(600.0 + t, CARRYING, 10, 10) for t in range(3)]).finding is Finding.HARMED


def test_both_recursions_grow_from_the_grid_of_odds() -> None:
    state = played((0.0, CARRYING, 100, 3))
    assert len(state.harm.start) == len(state.harm.late) == len(ODDS)
    np.testing.assert_allclose(np.array(state.harm.late) - np.array(state.harm.start), np.log(0.5))


@pytest.mark.parametrize(("requests", "failures"), [(10, 11), (10, -1), (-1, 0)])
def test_counts_that_cannot_be_are_refused(requests: int, failures: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Counts(requests, failures)


@pytest.mark.parametrize("wrong", [{"ratio": 0.9}, {"points": -0.1}, {"alpha": 0.0}, {"alpha": 1.0}, {"patience": 0.0}])
def test_a_guard_needs_margins_and_a_level(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        shared.guard(BEFORE, **wrong)
