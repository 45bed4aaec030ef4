"""When a candidate as good as stable is promoted, and what each step waits for."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from penstock.cli.planning.choices import Floats
from penstock.cli.planning.course import Courses, Ending, Scenario, Waits, healthy
from penstock.cli.planning.facts import Cause, PromotionFacts, Spread, StepFacts
from penstock.judge.criteria import Unit

SURE = 0.95
"""Part of the releases that must end as said."""

SEED = 20_241_107

_CAUSES = {
    Waits.REQUESTS: Cause.MIN_REQUESTS,
    Waits.PAUSE: Cause.PAUSE,
    Waits.SIGNS: Cause.SIGNS_OF_HARM,
    Waits.EXPOSURE: Cause.EXPOSURE,
    Waits.EVIDENCE: Cause.EVIDENCE,
}


def follow_healthy(scenario: Scenario, releases: int) -> Courses:
    """Releases of a candidate as good as stable, followed to their ends; the same ones at every call."""
    *_, course = healthy(scenario, _affordable(scenario, releases), SEED)
    return course.courses()


def _affordable(scenario: Scenario, releases: int) -> int:
    """Fewer releases where differences between strata are evidence, since each of those is drawn."""
    return max(60, releases // 3) if any(rail.unit is Unit.STRATA for rail in scenario.rails) else releases


def promotion_facts(courses: Courses) -> PromotionFacts:
    """When the releases are promoted."""
    promoted = courses.ending == Ending.PROMOTED
    share = float(promoted.mean())
    return PromotionFacts(
        share,
        spread(courses.seconds, promoted),
        spread(courses.total, promoted),
        len(courses.ending),
    )


def decidable(facts: PromotionFacts) -> bool:
    """Whether enough releases end in time."""
    return facts.share >= SURE


def spread(values: Floats, ended: NDArray[np.bool_]) -> Spread | None:
    """Quantiles over all releases, those that did not end as wanted being later than any; None where the median is."""
    ordered = np.where(ended, values, np.inf)
    low, median, high = (float(q) for q in np.quantile(ordered, (0.1, 0.5, 0.95), method="inverted_cdf"))
    return None if np.isinf(median) else Spread(low, median, high if np.isfinite(high) else None)


def step_facts(scenario: Scenario, courses: Courses) -> tuple[StepFacts, ...]:
    """What each step waits for, and until when."""
    steps = []
    begins: float | None = 0.0
    for i, stage in enumerate(scenario.stages):
        left = np.isfinite(courses.reached[:, i])
        ends = requests = cause = None
        if left.mean() >= 0.5:
            ends = float(np.quantile(np.where(left, courses.reached[:, i], np.inf), 0.5, method="inverted_cdf"))
            requests = float(np.median(courses.counted[left, i]))
            cause = _CAUSES[Waits(int(np.bincount(courses.waited[left, i]).argmax()))]
        steps.append(
            StepFacts(stage.weight, cause, stage.min_requests, stage.named, stage.pause, begins, ends, requests)
        )
        begins = ends
    return tuple(steps)


def with_points(scenario: Scenario, points: float) -> Scenario:
    """The same with `points` as every guardrail's tolerated difference."""
    return replace(scenario, rails=tuple(replace(rail, points=points) for rail in scenario.rails))
