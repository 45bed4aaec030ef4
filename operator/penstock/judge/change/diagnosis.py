"""What an alarm was: one stream, one direction, a shape and an onset; provisional until it can be known."""

from dataclasses import dataclass, replace

from penstock.judge.change import history, shape
from penstock.judge.change.history import History
from penstock.judge.change.reference import Reference
from penstock.judge.change.shape import SETTLING, Shape, Shapes
from penstock.judge.change.side import Side

LEAST_NOISE = 1e-9
REVISIONS = 32
"""A provisional diagnosis is fitted anew whenever the time since its onset has grown by one part in this many."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Shape and onset (times in seconds) of the change in the stream with the largest share of the alarm.

    `lead` is the log likelihood ratio of step over ramp in nats. Until `settles_at` the diagnosis is provisional and
    may change with every step; from then on it is settled and stays. Act by shape on settled diagnoses only.
    """

    stream: str
    side: Side
    alarmed_at: int
    settles_at: int
    revised_at: int
    onset: int
    shape: Shape
    lead: float
    settled: bool


def opened(stream: str, side: Side, seen: tuple[History, Reference], time: int, step: int) -> Diagnosis:
    """First diagnosis, at the alarm. It settles four times the delay after the onset, reckoned from the earlier of both
    shapes' onsets, so that the longer wait is taken while they cannot be told apart."""
    shapes = _shapes(side, seen)
    onset = time - round(shapes.earliest_age) * step
    settles_at = onset + SETTLING * (time - onset)
    return Diagnosis(
        stream, side, time, settles_at, time, time - round(shapes.age) * step, shapes.shape, shapes.lead, settled=False
    )


def revised(current: Diagnosis, seen: tuple[History, Reference], time: int, step: int) -> Diagnosis:
    """A provisional diagnosis one step later."""
    settled = time >= current.settles_at
    if not settled and (time - current.revised_at) * REVISIONS < time - current.onset:
        return current
    shapes = _shapes(current.side, seen)
    return replace(
        current,
        revised_at=time,
        onset=time - round(shapes.age) * step,
        shape=shapes.shape,
        lead=shapes.lead,
        settled=settled,
    )


def _shapes(side: Side, seen: tuple[History, Reference]) -> Shapes:
    past, learned = seen
    noise = max(learned.noise, history.local_noise(past), LEAST_NOISE)
    return shape.fit(history.blocks(past), side, noise, learned.tolerance.value / 2)
