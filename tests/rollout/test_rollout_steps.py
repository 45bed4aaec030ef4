"""Which step follows, and how many pods it needs: tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.api.rollout import DEFAULT_STEPS, Pause, Step
from penstock.api.scalars import Duration
from penstock.rollout.pods import pods_for
from penstock.rollout.steps import Position, next_position, next_weight, pause_at, requests_wanted

PAUSE = Step(pause=Pause(duration=Duration("10m")))


def weights(*percents: int) -> tuple[Step, ...]:
    return tuple(Step(weight=percent) for percent in percents)


@pytest.mark.parametrize(
    ("steps", "at", "follows"),
    [
        pytest.param(DEFAULT_STEPS, Position(0, 0), Position(0, 1), id="the first weight"),
        pytest.param(DEFAULT_STEPS, Position(0, 1), Position(1, 5), id="the next weight"),
        pytest.param(DEFAULT_STEPS, Position(2, 25), Position(3, 25), id="a pause keeps the weight"),
        pytest.param(DEFAULT_STEPS, Position(3, 25), Position(4, 50), id="after the pause"),
        pytest.param(DEFAULT_STEPS, Position(4, 50), None, id="after the last"),
        pytest.param(weights(5, 50), Position(4, 25), Position(1, 50), id="steps removed before the present one"),
        pytest.param(weights(5, 20), Position(4, 25), None, id="all that raise it removed"),
        pytest.param(weights(5, 10), Position(1, 5), Position(1, 10), id="a weight where the pause was"),
        pytest.param((*weights(1, 5), PAUSE, *weights(20)), Position(0, 5), Position(3, 20), id="steps put before it"),
        pytest.param(weights(1, 10, 20, 60), Position(1, 25), Position(3, 60), id="later steps that do not rise"),
        pytest.param(weights(1, 90), Position(0, 1), Position(1, 90), id="a later step edited"),
        pytest.param((*weights(5), PAUSE), Position(0, 5), Position(1, 5), id="a pause at the end"),
        pytest.param((*weights(5), PAUSE), Position(1, 5), None, id="after a pause at the end"),
    ],
)
def test_the_next_step(steps: tuple[Step, ...], at: Position, follows: Position | None) -> None:
    assert next_position(steps, at) == follows


@pytest.mark.parametrize(
    ("at", "weight"),
    [(Position(0, 0), 1), (Position(0, 1), 5), (Position(1, 5), 25), (Position(2, 25), 50), (Position(3, 25), 50),
     (Position(4, 50), 100)],
)  # fmt: skip
def test_pods_are_made_for_the_weight_that_comes_next(at: Position, weight: int) -> None:
    assert next_weight(DEFAULT_STEPS, at) == weight


def test_what_the_present_step_asks_for() -> None:
    assert requests_wanted(DEFAULT_STEPS, Position(1, 5)) == 500
    assert requests_wanted(DEFAULT_STEPS, Position(0, 1)) is None
    assert requests_wanted(DEFAULT_STEPS, Position(0, 0)) is None
    assert pause_at(DEFAULT_STEPS, Position(3, 25)) == Pause(duration=Duration("10m"))
    assert pause_at(DEFAULT_STEPS, Position(2, 25)) is None
    assert pause_at(DEFAULT_STEPS, Position(9, 25)) is None
    assert requests_wanted(DEFAULT_STEPS, Position(9, 25)) is None


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20, unique=True).map(sorted), st.data())
def test_weights_only_rise_and_no_step_is_taken_twice(percents: list[int], data: st.DataObject) -> None:
    pauses = data.draw(st.lists(st.booleans(), min_size=len(percents), max_size=len(percents)))
    steps = [it for p, pause in zip(percents, pauses, strict=True) for it in ([Step(weight=p)] + [PAUSE] * pause)]
    at: Position | None = Position(0, 0)
    visited = []
    while at is not None:
        following = next_position(steps, at)
        if following is not None:
            assert following.weight >= at.weight
            visited.append(following.step)
        at = following
    assert visited == list(range(len(steps)))


@pytest.mark.parametrize(
    ("weight", "replicas", "pods"),
    [(0, 2, 1), (1, 2, 1), (50, 2, 1), (51, 2, 2), (100, 2, 2), (5, 10, 1), (25, 10, 3), (5, 30, 2), (100, 1, 1)],
)
def test_pods_for_a_share(weight: int, replicas: int, pods: int) -> None:
    assert pods_for(weight, replicas) == pods


@given(st.integers(0, 100), st.integers(1, 1000))
def test_a_share_never_has_fewer_pods_than_it_needs(weight: int, replicas: int) -> None:
    pods = pods_for(weight, replicas)
    assert 1 <= pods <= replicas
    assert pods * 100 >= weight * replicas
