"""How one guardrail's pieces of evidence are made and combined: exact values, worked out by hand."""

import math

import pytest
from penstock.judge import bets, budget, guardrail, ratio, restarts, signs, spread, users
from penstock.judge.base import BaseRate
from penstock.judge.criteria import Guardrail, Tolerance, Unit
from penstock.judge.guardrail import LOWEST, Cell, Evidence
from penstock.judge.interval import Difference


def rail(ratio_limit: float = 1.5, points: float = 0.01, unit: Unit = Unit.REQUESTS) -> Guardrail:
    return Guardrail("g", "failed", Tolerance(ratio_limit, points), unit)


def filled(split: float, by_ratio: float, by_points: float, by_signs: float) -> Evidence:
    evidence = Evidence()
    evidence.split_harm = [split] * 5
    evidence.ratio_harm = [by_ratio] * 5
    evidence.points_harm = [by_points] * 5
    evidence.signs_harm = [by_signs] * 4
    return evidence


@pytest.mark.parametrize(
    ("unit", "ratio_limit", "points", "values", "expected"),
    [
        (Unit.REQUESTS, 1.5, 0.01, (5, 7, 9, 2), 5),
        (Unit.REQUESTS, 1.5, 0.01, (7, 5, 9, 2), 5),
        (Unit.REQUESTS, 1.5, 0.01, (9, 7, 5, 2), 5),
        (Unit.REQUESTS, 1.0, 0.01, (9, 5, 7, 2), 7),
        (Unit.REQUESTS, 1.1, 0.01, (9, 5, 7, 2), 5),
        (Unit.REQUESTS, 1.5, 0.01, (0.9, 0.5, 0.7, 0.2), 0.5),
        (Unit.REQUESTS, 1.5, 0.0, (9, 7, 5, 2), 7),
        (Unit.REQUESTS, 1.0, 0.0, (9, 7, 5, 2), 9),
        (Unit.STRATA, 1.5, 0.01, (9, 7, 5, 2), 2),
        (Unit.STRATA, 1.5, 0.01, (9, 7, 2, 5), 2),
        (Unit.USERS, 1.5, 0.0, (9, 2, 2, 2), 9),
    ],
)
def test_harm_must_show_in_every_part_that_is_in_force(
    unit: Unit, ratio_limit: float, points: float, values: tuple[float, ...], expected: float
) -> None:
    found = filled(*values).log_harm(rail(ratio_limit, points, unit), points)
    assert found == pytest.approx(math.log(expected))


def test_users_are_held_against_the_points_too() -> None:
    evidence = filled(1e9, 0, 0, 0)
    evidence.stable, evidence.candidate = (1_000, 10), (1_000, 60)
    beyond = users.log_evidence_beyond(0.01, evidence.stable, evidence.candidate)
    assert 3.0 < beyond < 20.0
    assert evidence.log_harm(rail(unit=Unit.USERS), 0.01) == pytest.approx(beyond)
    evidence.candidate = (100_000, 99_000)
    assert evidence.log_harm(rail(unit=Unit.USERS), 0.01) == pytest.approx(math.log(1e9))


def test_no_evidence_is_the_lowest_and_never_less() -> None:
    assert Evidence().log_harm(rail(), 0.01) == LOWEST == -1e6
    assert filled(1, 1, 0, 0).log_harm(rail(), 0.01) == LOWEST
    low = Evidence()
    low.ratio_health, low.points_health = [-2e6, -2e6], [-2e6, -2e6]
    assert low.log_health(rail(), 0.01) == LOWEST


def healthy(by_ratio: float, by_points: float, by_signs: float) -> Evidence:
    evidence = Evidence()
    evidence.ratio_health = [math.log(by_ratio)] * 2
    evidence.points_health = [math.log(by_points)] * 2
    evidence.signs_health = [math.log(by_signs)] * 4
    return evidence


@pytest.mark.parametrize(
    ("unit", "points", "values", "expected"),
    [
        (Unit.REQUESTS, 0.01, (2, 6, 1), 4),
        (Unit.REQUESTS, 0.01, (6, 2, 9), 4),
        (Unit.REQUESTS, 0.0, (2, 6, 9), 2),
        (Unit.STRATA, 0.01, (2, 6, 3), 3),
        (Unit.STRATA, 0.01, (2, 6, 5), 4),
        (Unit.USERS, 0.0, (2, 6, 1), 2),
    ],
)
def test_health_is_the_mean_over_the_margins_and_less_by_strata(
    unit: Unit, points: float, values: tuple[float, ...], expected: float
) -> None:
    found = healthy(*values).log_health(rail(1.5, points, unit), points)
    assert found == pytest.approx(math.log(expected))


def test_the_alternatives_of_health_are_weighed_by_their_prior() -> None:
    evidence = Evidence()
    evidence.ratio_health = [math.log(2), math.log(4)]
    assert evidence.log_health(rail(points=0.0), 0.0) == pytest.approx(math.log(0.3 * 2 + 0.7 * 4))


def test_the_health_of_users_is_judged_by_their_shares() -> None:
    evidence = healthy(1.0, 1e9, 1.0)
    evidence.stable = evidence.candidate = (10_000, 100)
    within = users.log_evidence_within(0.01, evidence.stable, evidence.candidate)
    expected = math.log(0.5 * (1.0 + math.exp(within)))
    assert evidence.log_health(rail(unit=Unit.USERS), 0.01) == pytest.approx(expected)


def restarted(values: list[float], weight: float, logs: list[float]) -> list[float]:
    return [(value + weight) * math.exp(log) for value, log in zip(values, logs, strict=True)]


CELLS = (Cell(0.25, 60, 20, 3, 2), Cell(0.25, 55, 25, 1, 4))


@pytest.mark.parametrize("factor", [1.0, 1.4])
@pytest.mark.parametrize(("ratio_limit", "points"), [(1.5, 0.01), (1.0, 0.02), (1.5, 0.0), (1.1, 0.01)])
def test_a_stratum_moves_every_part_by_the_bets_made_before_it(
    ratio_limit: float, points: float, factor: float
) -> None:
    """Bets and margins follow from what was known before; pods' luck widens the ratio, and the points by stable's rate."""
    spec = rail(ratio_limit, points)
    evidence = Evidence()
    split, by_ratio, by_points = [0.0] * 5, [0.0] * 5, [0.0] * 5
    ratio_health, points_health = [0.0, 0.0], [0.0, 0.0]
    base, difference = BaseRate(), Difference()
    for cell, weight in zip(CELLS, (0.7, 0.1), strict=True):
        guardrail.observe(evidence, spec, points, factor, cell, weight)
        counts = (cell.candidate, cell.stable, cell.candidate_events, cell.stable_events)
        margin, share = ratio_limit * factor, cell.candidate / (cell.candidate + cell.stable)
        wide = points + (factor - 1.0) * base.estimate
        psi = ratio.tolerated_odds_ratio(margin, base.upper)
        split = restarted(split, weight, ratio.log_factors(*counts, psi))
        expected = bets.Expected.of(base.estimate, share)
        line = bets.Line(margin, 0.0)
        if ratio_limit > 1.0:
            by_ratio = restarted(by_ratio, weight, bets.log_factors(bets.harm_bets(line, expected), margin, counts))
        for i, log in enumerate(bets.log_factors(bets.health_bets(line, expected), margin, counts)):
            ratio_health[i] += log
        if points > 0.0:
            line = bets.Line(1.0, wide)
            by_points = restarted(by_points, weight, bets.log_factors(bets.harm_bets(line, expected), 1.0, counts))
            for i, log in enumerate(bets.log_factors(bets.health_bets(line, expected), 1.0, counts)):
                points_health[i] += log
        base = base.after(cell.stable, cell.stable_events)
        difference = difference.after(*counts)
    assert evidence.split_harm == pytest.approx(split)
    assert evidence.ratio_harm == pytest.approx(by_ratio)
    assert evidence.points_harm == pytest.approx(by_points)
    assert evidence.ratio_health == pytest.approx(ratio_health)
    assert evidence.points_health == pytest.approx(points_health)
    assert (evidence.base, evidence.difference) == (base, difference)
    assert (evidence.stable, evidence.candidate) == ((115, 4), (45, 6))
    assert evidence.signs_harm == [0.0] * 4
    assert evidence.signs_health == [0.0] * 4
    assert evidence.scale == 0.0


@pytest.mark.parametrize("cell", [Cell(0.5, 40, 0, 3, 0), Cell(0.5, 0, 40, 0, 3)])
def test_a_stratum_of_one_arm_teaches_no_more_than_stables_rate(cell: Cell) -> None:
    evidence = Evidence()
    guardrail.observe(evidence, rail(), 0.01, 1.0, cell, 0.7)
    assert evidence.split_harm == [0.0] * 5
    assert evidence.points_health == [0.0, 0.0]
    assert evidence.difference == Difference()
    assert evidence.base == BaseRate().after(cell.stable, cell.stable_events)
    assert (evidence.stable, evidence.candidate) == (
        (cell.stable, cell.stable_events),
        (cell.candidate, cell.candidate_events),
    )


@pytest.mark.parametrize(
    ("points", "factor", "base", "expected"),
    [(0.01, 1.0, 0.05, 0.01), (0.01, 3.0, 0.05, 0.11), (0.0, 3.0, 0.05, 0.0), (0.01, 10.0, 0.2, 0.99)],
)
def test_points_widen_by_stables_rate(points: float, factor: float, base: float, expected: float) -> None:
    assert guardrail.widened(points, factor, base) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cell", "ratio_limit", "points", "excess"),
    [
        (Cell(0.5, 50, 50, 10, 20), 1.5, 0.01, 0.4 - 0.3),  # 1.5 × 20 % is more than 20 % + 1 %
        (Cell(0.5, 100, 50, 1, 5), 1.5, 0.03, 0.1 - 0.04),  # 1 % + 3 % is more than 1.5 × 1 %
        (Cell(0.5, 50, 100, 0, 1), 1.5, 0.05, 0.01 - 0.05),
    ],
)
def test_between_strata_the_excess_over_the_wider_margin_counts(
    cell: Cell, ratio_limit: float, points: float, excess: float
) -> None:
    evidence = Evidence()
    spec = rail(ratio_limit, points, Unit.STRATA)
    guardrail.observe(evidence, spec, points, 1.0, cell, 0.7)
    assert evidence.scale == pytest.approx(abs(excess))
    assert evidence.signs_harm == pytest.approx([0.7] * 4)
    assert evidence.signs_health == [0.0] * 4
    guardrail.observe(evidence, spec, points, 1.0, cell, 0.1)
    sign = math.copysign(1.0, excess)
    harm = [0.8 * math.exp(sign * bet - 0.5 * bet * bet) for bet in signs.BETS]
    health = [-sign * bet - 0.5 * bet * bet for bet in signs.BETS]
    assert evidence.signs_harm == pytest.approx(harm)
    assert evidence.signs_health == pytest.approx(health)


@pytest.mark.parametrize(
    ("weight", "counts"), [(0.5, True), (0.5 + 1e-10, True), (0.5 - 1e-8, False), (0.5 + 1e-8, False)]
)
def test_strata_speak_for_health_at_equal_shares_only(weight: float, *, counts: bool) -> None:
    evidence = Evidence()
    evidence.scale = 0.1
    guardrail.observe(evidence, rail(unit=Unit.STRATA), 0.01, 1.0, Cell(weight, 50, 50, 1, 1), 0.1)
    assert (evidence.signs_health != [0.0] * 4) is counts
    assert evidence.signs_harm != [0.0] * 4


def test_first_failures_move_the_split_and_the_health_of_users() -> None:
    spec = rail(1.5, 0.01, Unit.USERS)
    evidence = Evidence()
    guardrail.observe(evidence, spec, 0.01, 1.2, Cell(0.2, 80, 20, 4, 3), 0.7)
    margin, odds = 1.5 * 1.2, 1.5 * 1.2 * 0.2 / 0.8
    split = restarted([0.0] * 5, 0.7, users.log_factors(0.2, 3, 4, margin))
    assert evidence.split_harm == pytest.approx(split)
    health = [
        3 * math.log(factor / margin) + 7 * math.log((1 + odds) / (1 + odds * factor / margin)) for factor in (0.5, 1.0)
    ]
    assert evidence.ratio_health == pytest.approx(health)
    guardrail.observe(evidence, spec, 0.01, 1.2, Cell(0.2, 80, 20, 4, 3), 0.1)
    assert evidence.ratio_health == pytest.approx([2 * log for log in health])
    assert (evidence.stable, evidence.candidate) == ((160, 8), (40, 6))
    assert evidence.base == BaseRate()
    assert evidence.ratio_harm == evidence.points_harm == [0.0] * 5


@pytest.mark.parametrize(
    ("unit", "stable", "candidate", "cell", "expected"),
    [
        (Unit.USERS, (0, 0), (0, 0), Cell(0.5, 3, 3, 3, 3), True),
        (Unit.USERS, (0, 0), (0, 0), Cell(0.5, 3, 3, 4, 3), False),
        (Unit.USERS, (0, 0), (0, 0), Cell(0.5, 3, 3, 3, 4), False),
        (Unit.USERS, (5, 1), (0, 0), Cell(0.5, 3, 3, 7, 3), True),
        (Unit.USERS, (5, 1), (0, 0), Cell(0.5, 3, 3, 8, 3), False),
        (Unit.USERS, (0, 0), (5, 1), Cell(0.5, 3, 3, 3, 7), True),
        (Unit.USERS, (0, 0), (5, 1), Cell(0.5, 3, 3, 3, 8), False),
        (Unit.REQUESTS, (0, 0), (0, 0), Cell(0.5, 3, 3, 4, 4), True),
    ],
)
def test_no_more_users_are_harmed_than_were_seen(
    unit: Unit, stable: tuple[int, int], candidate: tuple[int, int], cell: Cell, *, expected: bool
) -> None:
    evidence = Evidence(stable=stable, candidate=candidate)
    assert guardrail.possible(evidence, rail(unit=unit), cell) is expected


def test_a_tighter_difference_forgets_the_health_shown_against_a_wider_one_alone() -> None:
    evidence = healthy(2, 3, 4)
    evidence.forget_points_health()
    assert evidence.points_health == [0.0, 0.0]
    assert evidence.ratio_health == [math.log(2)] * 2


def test_what_signs_bet() -> None:
    assert signs.log_factors(3.0, 2.0) == pytest.approx([bet * 1.5 - bet * bet * 1.125 for bet in (0.1, 0.2, 0.4, 0.8)])
    assert signs.log_factors(-300.0, 2.0) == signs.log_factors(-20.0, 2.0) != signs.log_factors(-19.9, 2.0)
    assert signs.log_factors(300.0, 2.0) == signs.log_factors(20.0, 2.0)
    assert signs.log_factors(1.0, 1.0) != [0.0] * 4
    assert signs.log_factors(1.0, 0.0) == [0.0] * 4
    assert signs.next_scale(0.5, 0.1) == pytest.approx(math.sqrt(0.95 * 0.25 + 0.05 * 0.01))
    assert signs.next_scale(0.0, -0.3) == 0.3
    assert sum(signs.PRIOR) == 1.0


def test_what_users_bet() -> None:
    odds = 1.5 * 0.25
    expected = [
        3 * math.log(alternative) + 5 * (math.log(1 + odds) - math.log(1 + odds * alternative))
        for alternative in (1.5, 2.2, 4.5, 15.0, 200.0)
    ]
    assert users.log_factors(0.2, 3, 2, 1.5) == pytest.approx(expected)
    assert users.log_factors(0.2, 0, 2, 1.5) != [0.0] * 5
    assert users.log_factors(0.2, 1, 0, 1.5) != [0.0] * 5
    assert users.log_factors(0.9, 1, 0, 1.5) != [0.0] * 5


def beta_mixture(seen: int, harmed: int) -> float:
    return math.log(math.gamma(harmed + 0.5) * math.gamma(seen - harmed + 0.5) / math.gamma(seen + 1) / math.pi)


def best(points: float, stable: tuple[int, int], candidate: tuple[int, int], *, below: bool) -> float:
    """The largest likelihood on one side of the line, by trying a fine grid."""

    def log(arm: tuple[int, int], rate: float) -> float:
        seen, harmed = arm
        return (harmed * math.log(rate) if harmed else 0.0) + (
            (seen - harmed) * math.log1p(-rate) if seen > harmed else 0.0
        )

    grid = [i / 2_000 for i in range(1, 2_000)]
    return max(
        log(stable, t) + log(candidate, u)
        for t in grid
        for u in ([u for u in (t + points, candidate[1] / candidate[0]) if 0 < u < 1])
        if ((u <= t + points + 1e-12) if below else (u >= t + points - 1e-12))
    )


@pytest.mark.parametrize(
    ("points", "stable", "candidate"),
    [
        (0.05, (40, 4), (30, 12)),
        (0.05, (40, 12), (30, 3)),
        (0.05, (40, 4), (40, 5)),
        (0.2, (20, 2), (20, 6)),
        (0.1, (30, 3), (20, 4)),
    ],
)
def test_the_shares_of_users_are_weighed_against_the_best_within_and_beyond_the_points(
    points: float, stable: tuple[int, int], candidate: tuple[int, int]
) -> None:
    mixture = beta_mixture(*stable) + beta_mixture(*candidate)
    assert users.log_evidence_beyond(points, stable, candidate) == pytest.approx(
        mixture - best(points, stable, candidate, below=True), abs=2e-3
    )
    assert users.log_evidence_within(points, stable, candidate) == pytest.approx(
        mixture - best(points, stable, candidate, below=False), abs=2e-3
    )


def test_shares_that_lie_at_the_ends_are_weighed_too() -> None:
    assert users.log_evidence_beyond(0.1, (10, 0), (10, 0)) == pytest.approx(2 * beta_mixture(10, 0))
    assert users.log_evidence_within(0.1, (10, 0), (10, 0)) == pytest.approx(
        2 * beta_mixture(10, 0) - 10 * math.log(0.9), abs=1e-6
    )
    assert users.log_evidence_within(0.1, (10, 0), (10, 10)) == pytest.approx(2 * beta_mixture(10, 0))
    assert users.log_evidence_within(0.1, (10, 10), (10, 10)) == pytest.approx(
        2 * beta_mixture(10, 0) - 10 * math.log(0.9), abs=1e-6
    )
    assert users.log_evidence_beyond(0.1, (10, 3), (0, 0)) == pytest.approx(
        beta_mixture(10, 3) - 3 * math.log(0.3) - 7 * math.log(0.7)
    )
    expected = beta_mixture(10, 0) + beta_mixture(10, 3) - 3 * math.log(0.3) - 7 * math.log(0.7)
    assert users.log_evidence_beyond(0.1, (10, 3), (10, 0)) == pytest.approx(expected)
    assert users.log_evidence_within(0.1, (10, 0), (10, 3)) == pytest.approx(expected)
    assert users.log_evidence_beyond(0.1, (0, 0), (10, 3)) == pytest.approx(
        beta_mixture(10, 3) - 3 * math.log(0.3) - 7 * math.log(0.7), abs=1e-9
    )
    assert users.log_evidence_within(0.1, (0, 0), (10, 3)) == pytest.approx(
        beta_mixture(10, 3) - 3 * math.log(0.3) - 7 * math.log(0.7)
    )


def test_the_spread_of_pods_worked_out() -> None:
    """Rates 5 %, 10 % and 15 % of 400 each: p = 0.1, Σ(x − np)² = 800, times 3/2, less p(1 − p)·1200 = 108."""
    pods = [(400, 20), (400, 40), (400, 60)]
    assert spread.between_pods(pods) == pytest.approx(math.sqrt((1_200 - 108) / (0.01 * 3 * 160_000)))
    assert spread.between_pods([*pods, (0, 0)]) == spread.between_pods(pods)
    p = 81 / 401
    squares = (1 - p) ** 2 + (20 - 200 * p) ** 2 + (60 - 200 * p) ** 2
    expected = math.sqrt((1.5 * squares - 401 * p * (1 - p)) / (p * p * (1 + 2 * 200 * 200)))
    assert spread.between_pods([(1, 1), (200, 20), (200, 60)]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pods", "known"),
    [
        ([(100, 40), (100, 10)], True),
        ([(100, 39), (100, 10)], False),
        ([(100, 60)], False),
        ([(100, 25), (100, 25)], False),
    ],
    ids=["50 events", "49 events", "one pod", "no spread beyond noise"],
)
def test_fifty_events_in_two_pods_tell_a_spread(pods: list[tuple[int, int]], *, known: bool) -> None:
    assert (spread.between_pods(pods) > 0.0) is known


@pytest.mark.parametrize(
    ("deviation", "stable", "candidate", "expected"),
    [
        (0.2, 4, 1, math.exp(2.33 * 0.2 * math.sqrt(1.25))),
        (0.2, 1, 4, math.exp(2.33 * 0.2 * math.sqrt(1.25))),
        (0.0, 4, 1, 1.0),
        (0.2, 0, 1, 1.0),
        (0.2, 1, 0, 1.0),
        (9.0, 1, 1, 10.0),
    ],
)
def test_how_far_margins_widen(deviation: float, stable: int, candidate: int, expected: float) -> None:
    assert spread.widening(deviation, stable, candidate) == pytest.approx(expected)


def test_the_weight_of_late_harm_worked_out() -> None:
    first, weight = restarts.Spending().advance(10.0, 500, 1_000.0)
    half = 1.0 / (1.0 + math.log(2.0))
    assert weight == pytest.approx(0.7 + 0.15 * 0.01 + 0.15 * (1.0 - half))
    assert (first.elapsed, first.requests) == (10.0, 500)
    second, weight = first.advance(2_000.0, 1_000, 1_000.0)
    third = 1.0 / (1.0 + math.log(3.0))
    assert weight == pytest.approx(0.15 * 0.99 + 0.15 * (half - third))
    assert second.elapsed == 1_000.0
    _, weight = second.advance(3_000.0, 1_000, 1_000.0)
    assert weight == 0.0


def test_the_recursion_is_kept_within_bounds_from_where_they_begin() -> None:
    assert restarts.restart([1.0], 0.0, [600.0]) == restarts.restart([1.0], 0.0, [700.0]) == [restarts.CAP] == [1e250]
    assert restarts.restart([1e-200], 0.0, [500.0]) == pytest.approx([math.exp(500.0) * 1e-200])
    assert restarts.restart([1e-240], 0.0, [610.0]) == pytest.approx([math.exp(600.0) * 1e-240])


def test_the_budget_worked_out() -> None:
    assert budget.SHARES == {"requests": 0.7, "labels": 0.1, "brake": 0.1, "others": 0.1}
    assert budget.request_share(["requests"]) == 1.0
    assert budget.request_share(["requests", "labels"]) == pytest.approx(0.9)
    assert budget.brake_threshold(0.02) == pytest.approx(math.log(10 / (0.1 * 0.02)))
    assert budget.brake_threshold(0.02, 3) == pytest.approx(math.log(3 / (0.1 * 0.02)))
    assert budget.combined([math.log(2), math.log(4), math.log(9)]) == pytest.approx(math.log(5))
    assert budget.combined([1_000.0, 1_000.0]) == pytest.approx(1_000.0)
    assert budget.false_rollbacks_a_year(10, 3.0, 0.1) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("past", "now", "allowed", "next_at"),
    [
        ([], 0.0, True, 0.0),
        ([0, 1, 2, 3, 4], 3_599.0, False, 3_600.0),
        ([0, 1, 2, 3, 4], 3_600.0, True, 3_600.0),
        ([0, 1, 2, 3, 4, 5], 3_599.0, False, 3_601.0),
        ([4, 3, 2, 1, 0], 100.0, False, 3_600.0),
        ([0, 1, 2, 3, 3_600], 3_600.0, True, 3_600.0),
        ([0, 1, 2, 3, 100], 100.0, False, 3_600.0),
        ([0, 1, 2, 3, 101], 100.0, True, 100.0),
    ],
)
def test_five_actions_an_hour(past: list[float], now: float, next_at: float, *, allowed: bool) -> None:
    limit = budget.ActionLimit()
    assert limit.allows(past, now) is allowed
    assert limit.next_allowed(past, now) == next_at
