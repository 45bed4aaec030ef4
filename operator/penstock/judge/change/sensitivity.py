"""What a watch can see now, said before anything happens."""

from dataclasses import dataclass

from penstock.judge.change import history
from penstock.judge.change.reference import DAY, Stage
from penstock.judge.change.tolerance import Tolerance, smallest_shift
from penstock.judge.change.watch import Plan, Watch


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Tolerance and smallest lasting shift found within a day, both in score units; None when no shift is found so
    soon."""

    stream: str
    stage: Stage
    tolerance: Tolerance
    smallest_shift_in_a_day: float | None


def sensitivities(plan: Plan, watch: Watch) -> tuple[Sensitivity, ...]:
    """Per stream, at its average reference, alone in shifting among all the plan's streams."""
    found = []
    for stream, baseline, past in zip(plan.streams, watch.baselines, watch.histories, strict=True):
        learned = baseline.reference
        usual = sum(learned.means) / len(learned.means)
        deviation = max(learned.noise, history.local_noise(past)) ** 0.5
        shift = smallest_shift(
            usual, learned.tolerance.value, deviation, DAY // plan.step, plan.threshold, len(plan.streams)
        )
        found.append(Sensitivity(stream.name, learned.stage, learned.tolerance, shift))
    return tuple(found)
