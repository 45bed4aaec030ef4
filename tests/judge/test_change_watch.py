"""One model's watch: silence while nothing changes, alarms with a name, a side, an onset and a shape when something
does."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from penstock.judge.change import codec, watch
from penstock.judge.change.detector import Recursion
from penstock.judge.change.diagnosis import Diagnosis
from penstock.judge.change.reference import Baseline, Reference, Stage
from penstock.judge.change.score import Observation
from penstock.judge.change.sensitivity import sensitivities
from penstock.judge.change.shape import Shape
from penstock.judge.change.side import Side
from penstock.judge.change.tolerance import FLOOR, WIDE, tolerance
from penstock.judge.change.watch import Intake, Plan, Reading, Stream, Watch

DAY = 86_400
MONDAY = 1_699_833_600
ROWS = 100
PLAN = Plan((Stream("amount", 0.5), Stream("age", 0.5), Stream("country", 0.5)))
ALONE = Plan((Stream("amount", 0.5),))


def seen(score: float) -> Observation:
    return Observation(ROWS, min(1.0, max(0.0, score)) * ROWS)


def learned(plan: Plan, noise: float) -> Watch:
    """A watch whose references are learned: flat at 1/2, tolerance at its floor."""
    flat = Reference(Stage.LEARNED, (0.5,), tolerance(0.0, 0.0), noise)
    baselines = tuple(Baseline(MONDAY, flat, (), None) for _ in plan.streams)
    return replace(watch.begin(plan, MONDAY), baselines=baselines)


def played(plan: Plan, state: Watch, *steps: tuple[float, ...], start: int = MONDAY) -> tuple[Watch, list[Reading]]:
    readings = []
    for number, scores in enumerate(steps, start=1):
        observations = [seen(score) for score in scores]
        state, reading = watch.advance(plan, state, start + number * plan.step, observations)
        readings.append(reading)
    return state, readings


def test_a_shift_in_one_of_three_streams_is_named_with_side_share_and_onset() -> None:
    steps = [(0.5, 0.5, 0.5)] * 200 + [(0.5, 0.3, 0.5)] * 200
    _, readings = played(PLAN, learned(PLAN, 1e-4), *steps)
    alarms = [reading for reading in readings if reading.alarm]
    first = alarms[0]
    assert (first.shares[0].stream, first.shares[0].side) == ("age", Side.BELOW)
    assert first.shares[0].share > 0.99
    assert [share.share for share in first.shares] == sorted((share.share for share in first.shares), reverse=True)
    assert sum(share.share for share in first.shares) == pytest.approx(1.0)
    assert first.log_evalue >= first.log_threshold == pytest.approx(np.log(129_600))
    assert first.diagnosis is not None
    assert (first.diagnosis.stream, first.diagnosis.side) == ("age", Side.BELOW)
    assert first.diagnosis.onset == pytest.approx(MONDAY + 200 * 60, abs=8 * 60)
    assert all(reading.shares == () for reading in readings if not reading.alarm)


def test_after_an_alarm_the_detector_starts_afresh() -> None:
    _, readings = played(ALONE, learned(ALONE, 1e-4), *[(0.8,)] * 120)
    times = [reading.time for reading in readings if reading.alarm]
    assert len(times) >= 2
    gaps = np.diff([MONDAY, *times])
    assert np.all(gaps == gaps[0])


def test_a_diagnosis_is_provisional_until_four_times_the_delay_then_settled_for_good() -> None:
    _, readings = played(ALONE, learned(ALONE, 1e-4), *[(0.5,)] * 300, *[(0.7,)] * 400)
    diagnoses = [reading.diagnosis for reading in readings if reading.diagnosis is not None]
    alarm = next(reading for reading in readings if reading.alarm)
    first, delay = diagnoses[0], diagnoses[0].alarmed_at - diagnoses[0].onset
    assert first.alarmed_at == alarm.time
    assert 4 * delay <= first.settles_at - first.onset <= 6 * delay
    early = [reading for reading in readings if alarm.time <= reading.time < first.settles_at]
    late = [reading for reading in readings if reading.time >= first.settles_at]
    assert not any(reading.diagnosis.settled for reading in early if reading.diagnosis is not None)
    (settled,) = {reading.diagnosis for reading in late if not reading.alarm and reading.diagnosis.settled}
    assert settled is not None
    assert settled.shape is Shape.STEP
    assert settled.onset == pytest.approx(MONDAY + 300 * 60, abs=16 * 60)


def test_a_new_alarm_after_a_settled_diagnosis_opens_a_new_one() -> None:
    _, readings = played(
        ALONE, learned(ALONE, 1e-4), *[(0.5,)] * 300, *[(0.7,)] * 200, *[(0.5,)] * 300, *[(0.2,)] * 100
    )
    sides = [reading.diagnosis.side for reading in readings if reading.diagnosis is not None]
    assert (sides[0], sides[-1]) == (Side.ABOVE, Side.BELOW)


Change = Callable[[int], float]


def step_of(size: float) -> Change:
    return lambda age: size if age > 0 else 0.0


def ramp_of(size: float, over: int) -> Change:
    return lambda age: size * min(max(age, 0) / over, 1.0)


def settled_diagnosis(change: Change, before: int, spread: float, seed: int) -> Diagnosis | None:
    rng = np.random.default_rng(seed)
    state = learned(ALONE, spread**2)
    for number in range(1, 4000):
        score = 0.5 + change(number - before) + spread * rng.standard_normal()
        state, reading = watch.advance(ALONE, state, MONDAY + 60 * number, [seen(float(score))])
        if reading.diagnosis is not None and reading.diagnosis.settled:
            return reading.diagnosis
    return None


@pytest.mark.parametrize(
    ("shape", "changes", "within"),
    [
        (Shape.STEP, [step_of(0.1), step_of(0.2), step_of(-0.15)], 10),
        (Shape.RAMP, [ramp_of(0.4, 300), ramp_of(-0.4, 400), ramp_of(0.4, 600)], 80),
    ],
)
def test_at_four_times_the_delay_steps_and_ramps_are_told_apart(
    shape: Shape, changes: list[Change], within: int
) -> None:
    found = [settled_diagnosis(changes[case % 3], 80, 0.06, seed=case) for case in range(60)]
    right = [diagnosis for diagnosis in found if diagnosis is not None and diagnosis.shape is shape]
    # 57 of 60 has a lower 97.5 % confidence bound of 0.86, 59 of 60 of 0.91.
    assert len(right) >= 59
    errors = [abs(diagnosis.onset - MONDAY - 80 * 60) / 60 for diagnosis in right]
    assert np.median(errors) <= within


def live(
    plan: Plan,
    means: Callable[[int], float],
    days: float,
    spread: float,
    seed: int,
    memory: float = 0.0,
    sway: float = 0.0,
) -> tuple[Watch, list[Reading]]:
    """A watch from its first day on: every stream `means(time)` plus AR(1) sway of its own plus noise."""
    rng = np.random.default_rng(seed)
    state, readings = watch.begin(plan, MONDAY), []
    swaying = np.zeros(len(plan.streams))
    for time in range(MONDAY + plan.step, MONDAY + int(days * DAY), plan.step):
        fresh = rng.standard_normal(len(plan.streams))
        swaying = memory * swaying + sway * (1 - memory**2) ** 0.5 * fresh
        scores = means(time) + swaying + spread * rng.standard_normal(len(plan.streams))
        state, reading = watch.advance(plan, state, time, [seen(float(score)) for score in scores])
        readings.append(reading)
    return state, readings


def swinging(amplitude: float) -> Callable[[int], float]:
    return lambda time: 0.5 + amplitude * float(np.sin(2 * np.pi * time / DAY))


def weekend(time: int) -> float:
    return swinging(0.05)(time) + (0.08 if (time // DAY + 3) % 7 >= 5 else 0.0)


SLOW_STEPS = Plan(tuple(Stream(f"feature {number}", 0.5) for number in range(4)), step=600)


@pytest.mark.parametrize(
    ("means", "memory", "sway"),
    [
        pytest.param(swinging(0.07), 0.0, 0.0, id="daily swing of a quarter of a standard deviation"),
        pytest.param(swinging(0.09), 0.0, 0.0, id="daily swing of a third of a standard deviation"),
        pytest.param(weekend, 0.0, 0.0, id="other weekends"),
        pytest.param(swinging(0.0), 0.85, 0.02, id="AR(1), an hour's memory, as large as the tolerance"),
    ],
)
def test_four_weeks_in_which_nothing_changes_raise_no_alarm(
    means: Callable[[int], float], memory: float, sway: float
) -> None:
    state, readings = live(SLOW_STEPS, means, 28, 0.02, seed=1, memory=memory, sway=sway)
    assert not any(reading.alarm for reading in readings)
    assert all(baseline.reference.stage is Stage.LEARNED for baseline in state.baselines)
    _, shifted = live_on(SLOW_STEPS, state, lambda time: means(time) + 0.138, 0.02)
    assert any(reading.alarm for reading in shifted), "half a standard deviation is found within a day"


def live_on(plan: Plan, state: Watch, means: Callable[[int], float], spread: float) -> tuple[Watch, list[Reading]]:
    rng, readings, last = np.random.default_rng(9), [], state.last or 0
    for time in range(last + plan.step, last + DAY, plan.step):
        scores = [seen(means(time) + spread * float(rng.standard_normal())) for _ in plan.streams]
        state, reading = watch.advance(plan, state, time, scores)
        readings.append(reading)
    return state, readings


def test_an_offset_between_training_and_serving_is_learned_not_alarmed() -> None:
    state, readings = live(SLOW_STEPS, lambda time: 0.55, 15, 0.02, seed=2)
    assert not any(reading.alarm for reading in readings)
    assert state.baselines[0].reference.at(MONDAY) == pytest.approx(0.55, abs=0.005)


def test_missing_absurd_late_and_empty_steps_are_named_and_move_nothing() -> None:
    state, _ = played(PLAN, learned(PLAN, 1e-4), *[(0.6, 0.6, 0.6)] * 20)
    odd = [Observation(0, 0.0), Observation(5, float("nan")), seen(0.6)]
    after, reading = watch.advance(PLAN, state, MONDAY + 21 * 60, odd)
    assert (reading.intake, reading.missing, reading.refused) == (Intake.TAKEN, ("amount",), ("age",))
    np.testing.assert_array_equal(after.evidence.values[:2], state.evidence.values[:2])
    assert np.all(after.evidence.values[2, 0] > state.evidence.values[2, 0])

    same, reading = watch.advance(PLAN, after, MONDAY + 21 * 60, [seen(1.0)] * 3)
    assert (same, reading.intake, reading.alarm) == (after, Intake.LATE, False)
    assert reading.log_evalue == pytest.approx(np.log(after.evidence.of_model()))

    _, reading = watch.advance(PLAN, after, MONDAY + 22 * 60, [Observation(0, 0.0)] * 3)
    assert (reading.intake, reading.missing) == (Intake.EMPTY, ("amount", "age", "country"))


def test_a_late_step_before_any_evidence_reads_minus_infinity() -> None:
    state, _ = watch.advance(ALONE, learned(ALONE, 1e-4), MONDAY, [Observation(0, 0.0)])
    _, reading = watch.advance(ALONE, state, MONDAY, [seen(0.5)])
    assert reading.log_evalue == -np.inf


@pytest.mark.parametrize(("left_out", "kept"), [(0, 101), (30, 131), (1440, 1541), (1441, 1)])
def test_steps_left_out_count_as_time_until_more_than_a_days_worth_is_gone(left_out: int, kept: int) -> None:
    state, _ = played(ALONE, learned(ALONE, 1e-4), *[(0.5,)] * 100)
    state, _ = watch.advance(ALONE, state, MONDAY + (101 + left_out) * 60, [seen(0.5)])
    widths = [2**level * len(held) for level, held in enumerate(state.histories[0].levels)]
    assert sum(widths) == kept


def test_a_resumed_watch_goes_on_bit_for_bit() -> None:
    rng = np.random.default_rng(6)
    plan = replace(PLAN, step=1800)
    steps = [tuple(0.5 + 0.1 * (n > 600) + 0.02 * rng.standard_normal(3)) for n in range(900)]
    straight, straight_readings = played(plan, watch.begin(plan, MONDAY), *steps)
    resumed, readings = watch.begin(plan, MONDAY), []
    for number, scores in enumerate(steps, start=1):
        if number % 97 == 0:
            resumed = codec.loads(Watch, codec.dumps(resumed))
        resumed, reading = watch.advance(plan, resumed, MONDAY + 1800 * number, [seen(s) for s in scores])
        readings.append(reading)
    assert readings == straight_readings
    assert any(reading.alarm for reading in readings)
    assert codec.dumps(resumed) == codec.dumps(straight)


def test_a_learned_watch_of_thirty_streams_is_small() -> None:
    plan = Plan(tuple(Stream(f"feature {number}", 0.5) for number in range(30)))
    state, _ = played(plan, learned(plan, 1e-4), *[(0.512345678,) * 30] * 1500)
    assert len(codec.dumps(state)) / 30 < 6000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[0,[]]", "version 0"),
        ("{}", "state of"),
        ("[1,[1,2]]", "state of"),
        ("[1,null]", "state of"),
        ("nonsense", "state of"),
    ],
)
def test_text_that_is_no_state_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        codec.loads(Watch, text)


def test_the_smallest_shift_is_printed_and_true() -> None:
    plan = replace(ALONE, step=300)
    state = learned(plan, 0.03**2)
    (found,) = sensitivities(plan, state)
    assert (found.stream, found.stage, found.tolerance.value) == ("amount", Stage.LEARNED, FLOOR)
    shift = found.smallest_shift_in_a_day
    assert shift is not None
    detected = sum(_alarms_within_a_day(plan, state, shift, seed) for seed in range(20))
    assert 3 <= detected <= 18
    assert sum(_alarms_within_a_day(plan, state, 1.3 * shift, seed) for seed in range(10)) >= 9
    assert sum(_alarms_within_a_day(plan, state, 0.6 * shift, seed) for seed in range(10)) <= 1


def _alarms_within_a_day(plan: Plan, state: Watch, shift: float, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    scores = 0.5 + shift + 0.03 * rng.standard_normal(DAY // plan.step)
    _, readings = played(plan, state, *[(float(score),) for score in scores])
    return any(reading.alarm for reading in readings)


def test_the_first_day_says_that_it_is_provisional() -> None:
    (found, *_) = sensitivities(PLAN, watch.begin(PLAN, MONDAY))
    assert (found.stage, found.tolerance.value) == (Stage.TRAINING, WIDE)
    assert found.smallest_shift_in_a_day is not None
    assert found.smallest_shift_in_a_day > WIDE


def test_cusum_is_the_slower_recursion() -> None:
    steps = [(0.7,)] * 200
    waits = []
    for recursion in Recursion:
        plan = replace(ALONE, recursion=recursion)
        _, readings = played(plan, learned(plan, 1e-4), *steps)
        waits.append(next(reading.time for reading in readings if reading.alarm))
    assert waits[0] < waits[1]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: Plan(()), "at least one stream"),
        (lambda: Plan((Stream("a", 0.5), Stream("a", 0.4))), "names must differ"),
        (lambda: Plan((Stream("a", 0.5),), step=60, alarm_every=60), "alarmEvery"),
        (lambda: watch.begin(Plan((Stream("a", 1.5),)), MONDAY), "training mean"),
        (lambda: watch.advance(PLAN, watch.begin(PLAN, MONDAY), MONDAY, [seen(0.5)]), "1 observations for 3 streams"),
    ],
)
def test_plans_and_calls_that_cannot_be_are_refused_by_name(call, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=problem):
        call()
