"""When a candidate as good as stable is promoted, and what each step waits for."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from penstock.cli.planning.choices import Floats
from penstock.cli.planning.course import Course, Courses, Ending, Scenario, Waits, healthy, joined
from penstock.cli.planning.facts import Cause, PromotionFacts, Spread, StepFacts

SURE = 0.95
"""Part of the releases that must end as said."""

SEED = 20_241_107

FEWEST = 20
"""Releases that are always simulated, whatever that takes."""

EFFORT_EACH = 240
"""Work that each release may take on average before there are fewer."""

_CAUSES = {
    Waits.REQUESTS: Cause.MIN_REQUESTS,
    Waits.PAUSE: Cause.PAUSE,
    Waits.SIGNS: Cause.SIGNS_OF_HARM,
    Waits.EXPOSURE: Cause.EXPOSURE,
    Waits.EVIDENCE: Cause.EVIDENCE,
}


def follow_healthy(scenario: Scenario, releases: int) -> Courses:
    """Up to so many releases of a candidate as good as stable, followed to their ends; the same ones at every call."""
    return follow(lambda count, seed: healthy(scenario, count, seed), releases, EFFORT_EACH * releases)


def follow(start: Callable[[int, int], Iterator[Course]], releases: int, effort: int) -> Courses:
    """A few releases, and then as many more, up to `releases` in all, as `effort` allows.

    `start` begins so many releases with a seed; work is counted as `course.Course` does.
    """
    *_, few = start(min(FEWEST, releases), SEED)
    more = min(releases, effort * few.releases // max(1, few.work)) - few.releases
    if more <= 0:
        return few.courses()
    *_, rest = start(more, SEED + 1)
    return joined([few.courses(), rest.courses()])


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
