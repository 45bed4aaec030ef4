"""The least capital of a bettor, known from a count and two sums, and the evidence and intervals made of it."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from penstock.judge.labels.bets import STAKES, log_evidence_above, log_evidence_below, mean_interval
from penstock.judge.labels.moments import Moments
from penstock.judge.labels.paired import (
    BinaryPairs,
    bounded_pairs,
    difference_interval,
    log_within,
    log_worse,
)
from scipy.stats import binom

LOSSES = st.lists(st.floats(0, 1), min_size=1, max_size=30)
NULLS = st.floats(0.01, 0.99)


def moments(losses) -> Moments:
    values = np.asarray(losses, float)
    return Moments.of(len(values), float(values.sum()), float((values**2).sum()))


def log_capital(losses, stakes, null):
    """Item by item, as the capital is defined."""
    return np.sum([np.log1p(stakes * (loss - null)) for loss in losses], axis=0)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60), NULLS)
def test_for_right_and_wrong_answers_the_capital_is_exact(losses, null):
    stakes = STAKES / null
    assert moments(losses).log_growth(stakes, null) == pytest.approx(log_capital(losses, stakes, null), abs=1e-8)


GRAIN = 1e-5
"""The sums are kept in units of 2⁻⁴⁰: with the largest stakes that is up to 5.4e-6 of the logarithm, for tiny losses."""


@given(LOSSES, NULLS)
@example([0.0, 1e-6], 0.01)
@example([0.0, 4.94685028e-07], 0.01)
def test_for_other_losses_the_capital_is_never_overstated(losses, null):
    stakes = STAKES / null
    assert (moments(losses).log_growth(stakes, null) <= log_capital(losses, stakes, null) + GRAIN).all()


@given(st.integers(1, 40), st.integers(0, 40), st.floats(0.01, 1), NULLS)
def test_the_capital_stated_is_the_least_possible_one(zeros, others, value, null):
    """A sample of zeros and one other value has no more than what is stated, so no better bound exists."""
    losses = [0.0] * zeros + [value] * others
    stakes = STAKES / null
    assert moments(losses).log_growth(stakes, null) == pytest.approx(log_capital(losses, stakes, null), abs=1e-6)


# Frozen from confseq 0.0.11 (betting_mart with a constant bet, theta 1 and 0): numpy seed 7, 14 ones among 40, and 40
# draws of a Beta(1, 4) rounded to three digits, sum 9.705, sum of squares 3.635845.
CAPITALS = [
    ("wrong", 0.2, 0.25, 3.38338315064227, 0.156380138598415),
    ("beta", 0.2, 0.25, 1.47033201273417, 0.624759666569661),
    ("wrong", 0.2, 0.9, 11.390909952422, 1.34630862711495e-06),
    ("beta", 0.2, 0.9, 2.84498386139113, 0.111410991432919),
    ("wrong", 0.35, 0.25, 0.761300584464287, 0.739517279631547),
    ("beta", 0.35, 0.25, 0.323055357907597, 2.77535090761336),
    ("wrong", 0.35, 0.9, 0.0337570580504047, 0.00555575297430198),
    ("beta", 0.35, 0.9, 0.00935623344489111, 24.903385073009),
]


@pytest.mark.parametrize(("data", "null", "stake", "up", "down"), CAPITALS)
def test_capitals_agree_with_the_reference_implementation(data, null, stake, up, down):
    sample = {"wrong": Moments.of(40, 14, 14), "beta": Moments.of(40, 9.705, 3.635845)}[data]
    stakes = np.array([stake])
    found = (sample.log_growth(stakes, null)[0], sample.mirrored().log_growth(stakes, 1 - null)[0])
    if data == "wrong":
        assert found == pytest.approx((math.log(up), math.log(down)), rel=1e-12)
    else:
        price = 0.02 if stake < 0.5 else 0.55
        assert math.log(up) - price < found[0] <= math.log(up)
        assert math.log(down) - price < found[1] <= math.log(down)


@given(LOSSES, LOSSES)
def test_sums_do_not_depend_on_packing(first, second):
    whole = Moments()
    for loss in [*second, *first]:
        whole = whole.plus(Moments.of(1, loss, loss * loss))
    parts = Moments()
    for loss in [*first, *second]:
        parts = parts.plus(Moments.of(1, loss, loss * loss))
    assert whole == parts
    assert whole.mirrored().mirrored() == whole
    assert Moments(**json.loads(json.dumps(asdict(whole)))) == whole


@given(LOSSES, st.floats(0, 1))
def test_scatter_and_guess_are_what_their_names_say(losses, centre):
    sample = moments(losses)
    assert sample.scatter(centre) == pytest.approx(sum((loss - centre) ** 2 for loss in losses), abs=1e-9)
    assert Moments().guess(0.3) == pytest.approx(0.3)
    assert min(sample.mean, 0.3) - 1e-9 <= sample.guess(0.3) <= max(sample.mean, 0.3) + 1e-9


@given(LOSSES, NULLS)
def test_evidence_for_a_higher_mean_falls_with_the_null_and_mirrors(losses, null):
    sample = moments(losses)
    assert log_evidence_above(sample, null) >= log_evidence_above(sample, min(0.995, null * 1.1)) - 1e-9
    assert log_evidence_below(sample, null) == log_evidence_above(sample.mirrored(), 1 - null)


def test_the_mean_interval_starts_wide_and_closes_on_the_mean():
    assert mean_interval(Moments(), 0.05) == (0.0, 1.0)
    assert mean_interval(Moments.of(1, 0, 0), 0.05) == pytest.approx((0.0, 0.99583), abs=1e-5)
    assert mean_interval(Moments.of(1, 1, 1), 0.05) == pytest.approx((0.00417, 1.0), abs=1e-5)
    assert mean_interval(Moments.of(2, 1, 1), 1e-12) == (0.0, 1.0)
    widths = []
    for n in (50, 500, 5_000, 500_000):
        low, high = mean_interval(Moments.of(n, 0.1 * n, 0.1 * n), 0.05)
        assert low < 0.1 < high
        widths.append(high - low)
    assert widths[3] < widths[2] / 4 < widths[1] / 12 < widths[0] / 36
    assert mean_interval(Moments.of(2000, 0, 0), 0.05)[1] < 0.004
    assert mean_interval(Moments.of(2000, 2000, 2000), 0.05)[0] > 0.996


def test_the_mean_interval_is_narrower_for_losses_that_vary_less():
    spread, steady = Moments.of(1000, 300, 300), Moments.of(1000, 300, 91)
    wide, narrow = mean_interval(spread, 0.05), mean_interval(steady, 0.05)
    assert narrow[1] - narrow[0] < 0.25 * (wide[1] - wide[0])


def test_the_mean_interval_covers_at_every_look():
    alpha, streams, truth = 0.2, 1500, 0.15
    looks = [20, 40, 80, 160, 320, 640]
    counts = np.cumsum(np.random.default_rng(5).random((streams, looks[-1])) < truth, axis=1)[:, np.array(looks) - 1]
    limits = {
        (n, k): mean_interval(Moments.of(n, k, k), alpha)
        for place, n in enumerate(looks)
        for k in {int(count) for count in counts[:, place]}
    }
    missed = 0
    for stream in counts:
        intervals = [limits[n, int(k)] for n, k in zip(looks, stream, strict=True)]
        missed += any(not low <= truth <= high for low, high in intervals)
    assert missed <= binom.ppf(0.9999, streams, alpha)
    assert missed >= 0.02 * alpha * streams


def test_a_run_of_looks_after_every_row_rarely_finds_a_difference_that_is_not_there():
    alpha, streams, rows = 0.2, 1500, 200
    wins = {k: log_evidence_above(Moments.of(k[0], k[1], k[1]), 0.3) for k in _reachable(rows, 0.3)}
    draws = np.cumsum(np.random.default_rng(11).random((streams, rows)) < 0.3, axis=1)
    crossed = sum(
        any(wins.get((n + 1, int(k)), -1.0) >= math.log(1 / alpha) for n, k in enumerate(stream)) for stream in draws
    )
    assert 0.05 * alpha * streams <= crossed <= binom.ppf(0.9999, streams, alpha)


def _reachable(rows: int, share: float):
    """Counts above the null's mean that are not absurd: others give no evidence."""
    for n in range(1, rows + 1):
        middle, reach = n * share, 7 * math.sqrt(n * share)
        yield from ((n, k) for k in range(math.ceil(middle), min(n, math.ceil(middle + reach)) + 1))


# Mirrored requests ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60), st.floats(0, 0.5))
def test_pairs_of_right_and_wrong_answers_have_their_exact_capital(candidate, stable, alike, tolerated):
    pairs = BinaryPairs(candidate + stable + alike, candidate, stable)
    if pairs.count == 0:
        return
    null = (1 + tolerated) / 2
    differences = [1.0] * candidate + [0.0] * stable + [0.5] * alike
    assert pairs.log_growth(STAKES / null, null) == pytest.approx(
        log_capital(differences, STAKES / null, null), abs=1e-9
    )
    assert pairs.mean == pytest.approx(np.mean(differences))
    assert pairs.mirrored().mirrored() == pairs
    as_bounded = bounded_pairs(pairs.count, candidate - stable, candidate + stable)
    assert log_worse(as_bounded, tolerated) <= log_worse(pairs, tolerated) + 1e-9
    assert as_bounded.mean == pytest.approx(pairs.mean)


def test_pairs_add_up_in_any_order():
    parts = [BinaryPairs(10, 2, 1), BinaryPairs(5, 0, 3), BinaryPairs(7, 7, 0)]
    assert parts[0].plus(parts[1]).plus(parts[2]) == parts[2].plus(parts[0].plus(parts[1])) == BinaryPairs(22, 9, 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BinaryPairs(3, 2, 2),
        lambda: BinaryPairs(3, -1, 2),
        lambda: BinaryPairs(-1, 0, 0),
        lambda: bounded_pairs(-1, 0.0, 0.0),
        lambda: bounded_pairs(5, 6.0, 5.0),
        lambda: bounded_pairs(5, 1.0, 6.0),
        lambda: bounded_pairs(5, 4.0, 0.5),
        lambda: bounded_pairs(5, math.nan, 1.0),
        lambda: bounded_pairs(5, 1.0, math.nan),
    ],
)
def test_pairs_that_cannot_be_are_refused(make):
    with pytest.raises(ValueError, match=r"pairs must|no -?\d+ differences"):
        make()


def test_pairs_find_a_loss_of_two_points_that_separate_arms_would_not_see():
    """10,000 requests, both wrong on 30 %, candidate alone on 4 %, stable alone on 1 %."""
    pairs = BinaryPairs(10_000, 400, 100)
    assert log_worse(pairs, 0.01) > math.log(1000)
    assert log_within(pairs, 0.01) < 0
    low, high = difference_interval(pairs, 0.05)
    assert 0.01 < low < 0.03 < high < 0.05
    assert log_within(pairs, 0.05) > math.log(1000)


@pytest.mark.parametrize("law", ["binary", "bounded"])
def test_pairs_on_the_edge_of_the_tolerance_cross_with_at_most_alpha(law):
    alpha, releases, tolerated = 0.2, 300, 0.05
    generator, crossed = np.random.default_rng(3), 0
    for _ in range(releases):
        binary, bounded, over = BinaryPairs(), Moments(), False
        for _ in range(40):
            if law == "binary":
                won = int(generator.binomial(40, 0.10))
                lost = int(generator.binomial(40 - won, 0.05 / 0.9))
                binary = binary.plus(BinaryPairs(40, won, lost))
            else:
                d = 2 * generator.beta(2.1, 1.9, 40) - 1
                bounded = bounded.plus(bounded_pairs(40, float(d.sum()), float((d * d).sum())))
            over = over or log_worse(binary if law == "binary" else bounded, tolerated) >= math.log(1 / alpha)
        crossed += over
    assert 0.01 * alpha * releases <= crossed <= binom.ppf(0.9999, releases, alpha)
