"""Makes situations for tables: one in which nothing is against going on, and changes to it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from penstock.api.modelrevision import Release, Terms
from penstock.api.reasons import Reason
from penstock.api.rollout import Pause, Rollout, Step, Strategy
from penstock.api.scalars import Duration
from penstock.rollout.situation import Crew, Situation
from penstock.world import Decision, Evidence, Judgement, Pod
from rollout_pods import NOW, well

REPLICAS = 4
STEPS = (
    Step(weight=1),
    Step(weight=25, min_requests=500),
    Step(pause=Pause(duration=Duration("10m"))),
    Step(weight=50),
)
TERMS = Terms(
    false_rollback=Rollout().false_rollback,
    missed_regression=Rollout().missed_regression,
    guardrails=Rollout().guardrails,
)
COLLECTING = Judgement(Decision.HOLD, Reason.COLLECTING, "Nothing decided yet.", 0.0, 0.01)
PROMOTE = Judgement(Decision.PROMOTE, Reason.HARM_EXCLUDED, "Harm is excluded.", -2.0, 0.001)
ROLLBACK = Judgement(Decision.ROLLBACK, Reason.WORSE, "It is worse on failed.", 9.0, 0.4)


def judged(judgement: Judgement = COLLECTING, **changes: Any) -> Evidence:
    """Fresh evidence on the release of `situation()`."""
    made = Evidence("fraud-2", NOW - timedelta(hours=1), judgement, NOW, epoch=7, requests=1000)
    return replace(made, **changes)


def hold(reason: Reason) -> Evidence:
    """The judge does not decide, for this reason."""
    return judged(Judgement(Decision.HOLD, reason, "The judge says why.", 0.0, 0.01))


def crew(ready: int, *others: Pod, failure: str = "") -> Crew:
    """So many ready pods, and others."""
    return Crew((*well(ready), *others), REPLICAS, failure)


def situation(step: int = 0, weight: int = 1, **changes: Any) -> Situation:
    """A release an hour old, for ten minutes at this step; everything is well and decided enough to go on."""
    release = Release(
        started_at=NOW - changes.pop("age", timedelta(hours=1)),
        epoch=7,
        step=step,
        step_since=changes.pop("step_since", NOW - timedelta(minutes=10)),
        weight=weight,
        terms=TERMS,
    )
    rollout = changes.pop("rollout", {})
    made = Situation(
        now=NOW,
        rollout=Rollout(steps=STEPS).model_copy(update=rollout),
        strategy=Strategy.CANARY,
        paused=False,
        obstacle=None,
        asked=None,
        release=release,
        candidate=crew(REPLICAS),
        stable=crew(REPLICAS),
        crash=None,
        nodes={},
        confirmed=True,
        reachable=REPLICAS,
        evidence=judged() if weight else None,
        exposure_allowed=True,
        requests_wanted=50,
    )
    return replace(made, **changes)
