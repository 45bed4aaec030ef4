"""Logarithmic memory, and the two shapes fitted to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.judge.change import history, shape
from penstock.judge.change.history import Blocks, History
from penstock.judge.change.shape import Fit, Shape, Shapes
from penstock.judge.change.side import Side


def remembered(residuals: list[float | None]) -> History:
    past = History()
    for residual in residuals:
        past = history.push(past, residual)
    return past


@settings(max_examples=30)
@given(st.lists(st.none() | st.integers(-100, 100).map(float), max_size=1500))
def test_blocks_keep_every_step_and_its_order(residuals: list[float | None]) -> None:
    blocks = history.blocks(remembered(residuals))
    assert blocks.width.sum() == len(residuals)
    ends = np.cumsum(blocks.width).astype(int)
    starts = ends - blocks.width.astype(int)
    for start, end, observed, total in zip(starts, ends, blocks.observed, blocks.total, strict=True):
        held = [residual for residual in residuals[start:end] if residual is not None]
        assert (observed, total) == (len(held), sum(held))


def test_a_block_is_at_most_a_seventh_as_wide_as_it_is_old_and_memory_stays_small() -> None:
    blocks = history.blocks(remembered([1.0] * 20_000))
    ages = blocks.width.sum() - np.cumsum(blocks.width)
    wide = blocks.width > 1
    assert np.all(blocks.width[wide] <= ages[wide] / 7)
    assert len(blocks.width) < 200


def test_the_oldest_past_is_dropped_at_the_last_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LEVELS", 3)
    blocks = history.blocks(remembered([float(step) for step in range(1000)]))
    assert len(blocks.width) <= 3 * history.PER_LEVEL
    assert blocks.width.sum() < 1000
    assert blocks.total[-1] == 999.0


@pytest.mark.parametrize("trend", [0.0, 0.01])
def test_local_noise_does_not_see_a_slow_trend(trend: float) -> None:
    rng = np.random.default_rng(0)
    found = [
        history.local_noise(remembered([trend * step + 0.5 * rng.standard_normal() for step in range(60)]))
        for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx(0.25, rel=0.08)


def test_without_two_observations_there_is_no_local_noise() -> None:
    assert history.local_noise(History()) == 0.0
    assert history.local_noise(remembered([1.0, None, None])) == 0.0


def fitted(residuals: list[float | None], side: Side = Side.ABOVE, offset: float = 0.0, noise: float = 1.0) -> Shapes:
    return shape.fit(history.blocks(remembered(residuals)), side, noise, offset)


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_the_fit_is_the_projection_written_out_in_full(offset: float) -> None:
    rng = np.random.default_rng(4)
    y = rng.standard_normal(14) + 0.3 * np.arange(14)
    inverse = np.linalg.inv(0.7 * np.eye(14) + offset**2 * np.ones((14, 14)))
    at = np.arange(14.0)

    def best(regressor) -> tuple[float, int]:  # type: ignore[no-untyped-def]
        nats = []
        for onset in range(14):
            c = regressor(onset)
            projection = max(0.0, c @ inverse @ y)
            nats.append(projection**2 / (2 * c @ inverse @ c))
        return max(nats), 14 - int(np.argmax(nats))

    shapes = fitted(list(y), offset=offset, noise=0.7)
    step, ramp = best(lambda nu: (at >= nu).astype(float)), best(lambda nu: np.maximum(0.0, at - nu + 1))
    assert (shapes.step.nats, shapes.step.age) == pytest.approx(step)
    assert (shapes.ramp.nats, shapes.ramp.age) == pytest.approx(ramp)


def test_a_clean_jump_is_a_step_and_a_clean_rise_is_a_ramp_each_with_its_onset() -> None:
    jump = fitted([0.0] * 200 + [2.0] * 100)
    rise = fitted([0.0] * 200 + [0.05 * step for step in range(1, 101)])
    assert (jump.shape, rise.shape) == (Shape.STEP, Shape.RAMP)
    assert jump.age == pytest.approx(100, abs=4)
    assert rise.age == pytest.approx(100, abs=4)


def test_a_change_downwards_is_only_seen_from_below() -> None:
    falling: list[float | None] = [0.0] * 100 + [-2.0] * 50
    assert fitted(falling, Side.BELOW).step.nats > 50
    assert fitted(falling, Side.ABOVE).step.nats < 1


def test_steps_without_observation_shift_no_onset() -> None:
    gaps: list[float | None] = [None if step % 3 == 0 else 0.0 for step in range(200)]
    assert fitted([*gaps, *[2.0, None] * 50]).step.age == pytest.approx(100, abs=4)


def test_a_tolerated_offset_before_the_change_moves_no_onset() -> None:
    before, after = [0.2] * 3000, [1.2] * 60
    assert fitted([*before, *after], offset=0.2).step.age == pytest.approx(60, abs=3)
    assert fitted([*before, *after], offset=0.0).step.age > 1000


@pytest.mark.parametrize(
    ("step", "ramp", "expected", "age"),
    [
        (Fit(10.0, 5.0), Fit(7.9, 9.0), Shape.STEP, 5.0),
        (Fit(10.0, 5.0), Fit(8.0, 9.0), Shape.UNDETERMINED, 9.0),
        (Fit(8.0, 5.0), Fit(10.0, 9.0), Shape.UNDETERMINED, 9.0),
        (Fit(7.9, 5.0), Fit(10.0, 9.0), Shape.RAMP, 9.0),
    ],
)
def test_two_nats_decide_between_the_shapes(step: Fit, ramp: Fit, expected: Shape, age: float) -> None:
    shapes = Shapes(step, ramp)
    assert (shapes.shape, shapes.age, shapes.earliest_age) == (expected, age, 9.0)


def test_nothing_to_fit_is_refused() -> None:
    empty = np.zeros(0)
    with pytest.raises(ValueError, match="history"):
        shape.fit(Blocks(empty, empty, empty), Side.ABOVE, 1.0, 0.0)
    with pytest.raises(ValueError, match="noise"):
        shape.fit(history.blocks(remembered([1.0])), Side.ABOVE, 0.0, 0.0)
