"""One model's watch over its streams of scores: reference, detector, attribution and shape, one step at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import inf, log

import numpy as np

from penstock.judge.change import detector, diagnosis, history, reference
from penstock.judge.change.detector import Evidence, Recursion
from penstock.judge.change.diagnosis import Diagnosis
from penstock.judge.change.history import History
from penstock.judge.change.reference import Baseline, Reference
from penstock.judge.change.score import Observation
from penstock.judge.change.side import Side

LONGEST_GAP_STEPS = 1440
SIDES = tuple(Side)


@dataclass(frozen=True, slots=True)
class Stream:
    """One bounded score of a model, such as a feature's midrank, with its mean on the training reference."""

    name: str
    training_mean: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched. `step` and `alarm_every` in seconds; the threshold is the number of steps in `alarm_every`."""

    streams: tuple[Stream, ...]
    step: int = 60
    alarm_every: int = 90 * 24 * 3600
    recursion: Recursion = Recursion.SHIRYAEV_ROBERTS

    def __post_init__(self) -> None:
        if not self.streams or len({stream.name for stream in self.streams}) != len(self.streams):
            raise ValueError("a plan needs at least one stream, and their names must differ")
        detector.threshold_for(self.alarm_every, self.step)

    @property
    def threshold(self) -> float:
        """E-value at which the alarm is raised."""
        return detector.threshold_for(self.alarm_every, self.step)


class Intake(Enum):
    """What became of a step."""

    TAKEN = "taken"
    LATE = "late"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Share:
    """Share of one stream's one side in the model's e-value."""

    stream: str
    side: Side
    share: float


@dataclass(frozen=True, slots=True)
class Watch:
    """State between steps. `last` is the time of the last step, None before the first."""

    last: int | None
    evidence: Evidence
    baselines: tuple[Baseline, ...]
    histories: tuple[History, ...]
    diagnosis: Diagnosis | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One step's outcome. `shares` are sorted, largest first, and only given with an alarm; the detector then
    restarts."""

    time: int
    intake: Intake
    log_evalue: float
    log_threshold: float
    alarm: bool
    shares: tuple[Share, ...]
    diagnosis: Diagnosis | None
    missing: tuple[str, ...]
    refused: tuple[str, ...]


def begin(plan: Plan, now: int) -> Watch:
    """A watch that starts learning at `now` (seconds): at promotion, or when a person accepts the world as it is.

    Raises ValueError for a training mean outside [0, 1].
    """
    count = len(plan.streams)
    baselines = tuple(Baseline.from_training(stream.training_mean, now) for stream in plan.streams)
    return Watch(None, Evidence.none(count), baselines, (History(),) * count, None)


def advance(plan: Plan, watch: Watch, time: int, observations: Sequence[Observation]) -> tuple[Watch, Reading]:
    """One step with an observation per stream, in the plan's order; `time` is the step's end in seconds.

    A step that is not later than the last changes nothing and is LATE; one without any usable observation is EMPTY.
    Absurd observations are refused by name and count as missing. Raises ValueError when there is not one observation
    per stream.
    """
    names = tuple(stream.name for stream in plan.streams)
    if len(observations) != len(names):
        raise ValueError(f"{len(observations)} observations for {len(names)} streams")
    line = log(plan.threshold)
    if watch.last is not None and time <= watch.last:
        level = _log(watch.evidence.of_model())
        return watch, Reading(
            time, Intake.LATE, level, line, alarm=False, shares=(), diagnosis=watch.diagnosis, missing=(), refused=()
        )
    refused = tuple(name for name, seen in zip(names, observations, strict=True) if seen.absurd)
    scores = tuple(None if seen.absurd else seen.score for seen in observations)
    missing = tuple(name for name, score in zip(names, scores, strict=True) if score is None and name not in refused)
    usual = tuple(baseline.reference.at(time) for baseline in watch.baselines)
    moved = Watch(
        time,
        detector.advance(
            watch.evidence,
            np.array([np.nan if score is None else score for score in scores]),
            np.array(usual),
            np.array([baseline.reference.tolerance.value for baseline in watch.baselines]),
            plan.recursion,
        ),
        tuple(
            reference.advance(baseline, time, watch.last if watch.last is not None else time, score, line)
            for baseline, score in zip(watch.baselines, scores, strict=True)
        ),
        tuple(
            history.push(past, None if score is None else score - mean)
            for past, score, mean in zip(_bridged(plan, watch, time), scores, usual, strict=True)
        ),
        watch.diagnosis,
    )
    alarm = moved.evidence.of_model() >= plan.threshold
    reading = Reading(
        time,
        Intake.TAKEN if any(score is not None for score in scores) else Intake.EMPTY,
        _log(moved.evidence.of_model()),
        line,
        alarm,
        _shares(plan, moved.evidence) if alarm else (),
        _diagnosed(plan, moved, time, opened=alarm),
        missing,
        refused,
    )
    evidence = Evidence.none(len(names)) if alarm else moved.evidence
    return replace(moved, evidence=evidence, diagnosis=reading.diagnosis), reading


def _diagnosed(plan: Plan, watch: Watch, time: int, *, opened: bool) -> Diagnosis | None:
    current = watch.diagnosis
    if current is not None and not current.settled:
        return diagnosis.revised(current, _stream(plan, watch, current.stream), time, plan.step)
    if not opened:
        return current
    shares = watch.evidence.shares()
    stream, side = np.unravel_index(int(np.argmax(shares)), shares.shape)
    name = plan.streams[stream].name
    return diagnosis.opened(name, SIDES[side], _stream(plan, watch, name), time, plan.step)


def _stream(plan: Plan, watch: Watch, name: str) -> tuple[History, Reference]:
    place = [stream.name for stream in plan.streams].index(name)
    return watch.histories[place], watch.baselines[place].reference


def _bridged(plan: Plan, watch: Watch, time: int) -> tuple[History, ...]:
    """Histories with the steps that were left out; after more than a day's worth the past no longer connects."""
    gap = 0 if watch.last is None else (time - watch.last) // plan.step - 1
    if gap > LONGEST_GAP_STEPS:
        return (History(),) * len(watch.histories)
    histories = watch.histories
    for _ in range(gap):
        histories = tuple(history.push(past, None) for past in histories)
    return histories


def _log(evalue: float) -> float:
    return log(evalue) if evalue > 0 else -inf


def _shares(plan: Plan, evidence: Evidence) -> tuple[Share, ...]:
    parts = [
        Share(stream.name, side, float(share))
        for stream, row in zip(plan.streams, evidence.shares(), strict=True)
        for side, share in zip(SIDES, row, strict=True)
    ]
    return tuple(sorted(parts, key=lambda part: -part.share))
