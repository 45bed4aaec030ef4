"""Everything that decides a release's next move."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.api.actions import Verb
from penstock.api.modelrevision import Release
from penstock.api.rollout import Rollout, Strategy
from penstock.rollout.pods import pods_for
from penstock.rollout.steps import Position
from penstock.rollout.trouble import Trouble, ready, trouble_of
from penstock.world import Evidence, Exit, Pod

FRESH = timedelta(seconds=30)
"""Evidence older than this moves nothing forward."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The pods of one revision. `replicas` is how many serve all of the traffic."""

    pods: tuple[Pod, ...]
    replicas: int
    failure: str
    """Why its Deployment cannot make pods; empty otherwise."""

    @property
    def ready(self) -> int:
        """Pods that take requests."""
        return ready(self.pods)

    def carries(self, weight: int) -> bool:
        """Whether the ready pods can carry this share (percent) of the traffic."""
        return self.ready >= pods_for(weight, self.replicas)

    def trouble(self, nodes: Mapping[str, str], since: datetime, now: datetime) -> Trouble | None:
        """Why its pods do not become ready."""
        return trouble_of(self.pods, self.failure, nodes, since, now)


@dataclass(frozen=True, slots=True)
class Situation:
    """One release as observed at `now`.

    `rollout` is the spec's as it stands: what is frozen of it is not looked at here. `strategy` is this release's own.
    """

    now: datetime
    rollout: Rollout
    strategy: Strategy
    paused: bool
    obstacle: Trouble | None
    """What outside of the release forbids progress, such as a taken name."""
    asked: Verb | None
    """Promote or abort, when a person asked it of this revision."""
    release: Release
    candidate: Crew
    stable: Crew | None
    """None on a first deployment."""
    crash: Exit | None
    """The end by which the crash rule holds."""
    nodes: Mapping[str, str]
    """Nodes that are not well, and why."""
    confirmed: bool
    """Whether every router serves the weight last set."""
    reachable: int
    """Candidate pods that every router knows."""
    evidence: Evidence | None
    """Of this release; None while there is none."""
    exposure_allowed: bool
    """Whether the next weight keeps the harm that callers can meet within its bound."""
    requests_wanted: int
    """Requests that the candidate must have answered at this weight."""

    @property
    def position(self) -> Position:
        """Where the release stands."""
        return Position(self.release.step, self.release.weight)

    @property
    def in_step_for(self) -> timedelta:
        """How long the present step has lasted."""
        return self.now - self.release.step_since

    @property
    def judged(self) -> Evidence | None:
        """The evidence, once the candidate has had traffic: before that nothing can be known of it, for or against."""
        return self.evidence if self.position.begun else None

    @property
    def fresh(self) -> Evidence | None:
        """What is judged, unless it is old."""
        found = self.judged
        return found if found is not None and self.now - found.as_of <= FRESH else None

    @property
    def counted(self) -> int:
        """Requests of the candidate that were judged at the weight in force."""
        found = self.fresh
        return 0 if found is None or found.epoch != self.release.epoch else found.requests
