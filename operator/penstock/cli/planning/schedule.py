"""The steps of a rollout as stages: a weight, what must be seen there, how long to wait there."""

from dataclasses import dataclass

from penstock.api.rollout import Rollout
from penstock.judge.forecast import Step

DEFAULT_REQUESTS = Step(1.0).min_requests


@dataclass(frozen=True, slots=True)
class Stage:
    """One weight of a rollout.

    Args:
        weight: the candidate's share of requests, 0 to 1.
        min_requests: requests of the candidate wanted here, the judge's own least number when the step names none.
        named: whether the step names that number.
        pause: seconds to wait here once those requests are in.
    """

    weight: float
    min_requests: int
    named: bool
    pause: float


def stages_of(rollout: Rollout) -> tuple[Stage, ...]:
    """The stages of a Canary, pauses joined to the weight that they follow."""
    stages: list[Stage] = []
    for step in rollout.steps:
        if step.weight is not None:
            wanted = step.min_requests
            stages.append(
                Stage(step.weight / 100.0, DEFAULT_REQUESTS if wanted is None else wanted, wanted is not None, 0.0)
            )
        elif step.pause is not None:
            last = stages[-1]
            stages[-1] = Stage(last.weight, last.min_requests, last.named, last.pause + step.pause.duration.seconds)
    return tuple(stages)
