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

    Steps may be edited in mid-release. When the present step is no longer there, the first that raises the weight is
    next: a release never lowers it, and skips none that is still ahead.
    """
    if not at.begun:
        return _reached(steps, 0, 0)
    if _still_there(steps, at):
        return _reached(steps, at.step + 1, at.weight)
    ahead = (index for index, step in enumerate(steps) if step.weight is not None and step.weight > at.weight)
    return _reached(steps, next(ahead, len(steps)), at.weight)


def _reached(steps: Sequence[Step], index: int, weight: int) -> Position | None:
    if index >= len(steps):
        return None
    raised = steps[index].weight
    return Position(index, weight if raised is None else raised)


def _still_there(steps: Sequence[Step], at: Position) -> bool:
    """Whether the step under way stands where it stood, at the weight that is set."""
    weights = [step.weight for step in steps[: at.step + 1] if step.weight is not None]
    return at.step < len(steps) and bool(weights) and weights[-1] == at.weight


def next_weight(steps: Sequence[Step], at: Position) -> int:
    """The weight (percent) that the candidate's pods must be able to carry when this step ends."""
    following = next_position(steps, at)
    while following is not None and following.weight == at.weight:
        following = next_position(steps, following)
    return FULL if following is None else following.weight


def pause_at(steps: Sequence[Step], at: Position) -> Pause | None:
    """The pause under way, if the present step is one."""
    return steps[at.step].pause if at.begun and _still_there(steps, at) else None


def requests_wanted(steps: Sequence[Step], at: Position) -> int | None:
    """What the user wants the candidate to have answered before the present step ends; None for the usual."""
    return steps[at.step].min_requests if at.begun and _still_there(steps, at) else None
