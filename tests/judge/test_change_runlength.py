"""Published run-length tables of the classical charts, reproduced by our integral equations."""

import numpy as np
import pytest
from penstock.judge.change.runlength import ewma, normal_cusum, shiryaev_roberts, two_sided_normal_cusum
from scipy.special import ndtr


@pytest.mark.parametrize(("mean", "published"), [(0.0, 117.59), (1.5, 3.75)])
def test_one_sided_run_lengths_of_brook_and_evans_1972(mean: float, published: float) -> None:
    assert normal_cusum(0.5, 3.0, mean) == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize(("mean", "published"), [(-0.5, 1963), (0.0, 117.60), (0.5, 17.35)])
def test_one_sided_run_lengths_of_waldmann_1986(mean: float, published: float) -> None:
    assert normal_cusum(0.5, 3.0, mean) == pytest.approx(published, rel=3e-4)


def test_two_sided_run_length_of_waldmann_1986() -> None:
    assert two_sided_normal_cusum(0.6, 3.0, -0.2) == pytest.approx(65.4, abs=0.1)


def test_two_sided_run_length_of_sas_documentation() -> None:
    assert two_sided_normal_cusum(0.25, 8.0, 2.5) == pytest.approx(4.1500836, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "without", "half_headstart"),
    [
        (0.0, 168, 149),
        (0.25, 74.2, 62.7),
        (0.5, 26.6, 20.1),
        (0.75, 13.3, 8.97),
        (1.0, 8.38, 5.29),
        (1.5, 4.75, 2.86),
        (2.0, 3.34, 2.01),
        (2.5, 2.62, 1.59),
        (3.0, 2.19, 1.32),
        (4.0, 1.71, 1.07),
        (5.0, 1.31, 1.01),
    ],
)
def test_two_sided_run_lengths_of_lucas_and_crosier_1982(mean: float, without: float, half_headstart: float) -> None:
    assert two_sided_normal_cusum(0.5, 4.0, mean) == pytest.approx(without, rel=3e-3, abs=0.006)
    assert two_sided_normal_cusum(0.5, 4.0, mean, start=2.0) == pytest.approx(half_headstart, rel=4e-3, abs=0.006)


def test_headstart_combination_agrees_with_simulation_of_both_sides_together(two_sided_simulation: float) -> None:
    assert two_sided_normal_cusum(0.5, 3.0, 0.25, start=1.5) == pytest.approx(two_sided_simulation, rel=0.02)


@pytest.fixture(scope="module")
def two_sided_simulation() -> float:
    """Mean run length of the pair of charts, k = 0.5, h = 3, headstart 1.5, at mean 0.25, by 40,000 seeded runs."""
    rng = np.random.default_rng(20)
    up = np.full(40_000, 1.5)
    down = up.copy()
    steps = 0
    while up.size:
        z = rng.normal(0.25, 1.0, up.size)
        up, down = np.maximum(0, up + z - 0.5), np.maximum(0, down - z - 0.5)
        steps += up.size
        running = (up < 3.0) & (down < 3.0)
        up, down = up[running], down[running]
    return steps / 40_000


@pytest.mark.parametrize(
    ("arl", "published"),
    [(50, 28.02), (100, 56.04), (500, 280.19), (1000, 560.37), (5000, 2801.75), (10_000, 5603.7)],
)
def test_shiryaev_roberts_thresholds_of_moustakides_polunchenko_tartakovsky_2009(arl: float, published: float) -> None:
    """The run length rises with the threshold, so the threshold with exactly `arl` lies within 0.5 of the published
    one."""
    assert shiryaev_roberts(published - 0.5, 1.0) <= arl <= shiryaev_roberts(published + 0.5, 1.0)


@pytest.mark.parametrize(("shift", "known"), [(0.25, 1157), (0.5, 1338), (1.0, 1785), (2.0, 3125)])
def test_a_likelihood_ratio_e_sr_runs_longer_than_its_threshold(shift: float, known: float) -> None:
    assert shiryaev_roberts(1000.0, shift) == pytest.approx(known, abs=0.6)


@pytest.mark.parametrize(
    ("weight", "width", "published"),
    [
        (0.5, 3.071, [500, 255, 88.8, 35.9, 17.5]),
        (0.03, 2.437, [500, 76.7, 29.3, 17.6, 12.6]),
    ],
)
def test_ewma_run_lengths_of_crowder_1987_and_lucas_saccucci_1990(
    weight: float, width: float, published: list[float]
) -> None:
    lengths = [ewma(weight, width, mean) for mean in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert lengths == pytest.approx(published, rel=3e-3)


def test_an_ewma_of_weight_one_is_a_shewhart_chart() -> None:
    assert ewma(1.0, 3.0) == pytest.approx(1 / (2 * ndtr(-3.0)), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: normal_cusum(0.0, 4.0), "allowance"),
        (lambda: normal_cusum(float("nan"), 4.0), "allowance"),
        (lambda: normal_cusum(0.5, 4.0, start=4.0), "start"),
        (lambda: normal_cusum(0.5, 4.0, start=-1.0), "start"),
        (lambda: two_sided_normal_cusum(0.5, 4.0, start=2.6), "interact"),
        (lambda: shiryaev_roberts(1.0, 1.0), "threshold"),
        (lambda: shiryaev_roberts(100.0, 0.0), "shift"),
        (lambda: ewma(0.0, 3.0), "weight"),
        (lambda: ewma(1.1, 3.0), "weight"),
        (lambda: ewma(0.5, 0.0), "width"),
    ],
)
def test_charts_that_cannot_be_are_refused_by_name(call, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=problem):
        call()
