"""Where a canary stands among its steps, and which step is next."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.api.rollout import Pause, Step
from penstock.rollout.pods import FULL


@dataclass(frozen=True, slots=True)
class Position:
    """A step under way and the weight (percent) that is set. Weight 0 means that no step has begun yet."""

    step: int
    weight: int

    @property
    def begun(self) -> bool:
        """Whether the candidate has had traffic."""
        return self.weight > 0


def next_position(steps: Sequence[Step], at: Position) -> Position | None:
    """The position after this one, None after the last step.

    Steps may be edited in mid-release: those up to the present one no longer matter, and a later one that does not
    raise the weight is passed over, because a release never lowers it.
    """
    if not at.begun:
        first = steps[0].weight
        return Position(0, first if first is not None else FULL)
    for index in range(at.step + 1, len(steps)):
        weight = steps[index].weight
        if weight is None:
            return Position(index, at.weight)
        if weight > at.weight:
            return Position(index, weight)
    return None


def next_weight(steps: Sequence[Step], at: Position) -> int:
    """The weight (percent) that the candidate's pods must be able to carry when this step ends."""
    following = next_position(steps, at)
    while following is not None and following.weight == at.weight:
        following = next_position(steps, following)
    return FULL if following is None else following.weight


def pause_at(steps: Sequence[Step], at: Position) -> Pause | None:
    """The pause under way, if the present step is one."""
    return steps[at.step].pause if at.begun and at.step < len(steps) else None


def requests_wanted(steps: Sequence[Step], at: Position) -> int | None:
    """What the user wants the candidate to have answered before the present step ends; None for the usual."""
    return steps[at.step].min_requests if at.begun and at.step < len(steps) else None
