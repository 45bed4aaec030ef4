"""Releases of a candidate that is as good as stable, simulated up to the ledgers and from there on the product's own.

Two router pods count requests whose number and whose failures go up and down with the hour, each pod at an hour of its
own, one of them with an incident that both sides feel. The rows are the agent's, pulled in pages, put in order, judged
and told as in the operator; the release's own machine raises the weight, and the pods follow at different seconds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from numpy.random import Generator
from penstock.api.modelrevision import Release
from penstock.api.rollout import Rollout, Step, Strategy
from penstock.evidence.agents import Page
from penstock.evidence.following import Following, ReleaseName
from penstock.evidence.summary import evidence_of
from penstock.judge import forecast
from penstock.judge.criteria import Criteria, Guardrail, Tolerance
from penstock.judge.release import Release as Judge
from penstock.reconcile.terms import terms_of
from penstock.rollout.machine import next_move
from penstock.rollout.moves import Advance, Promote, TakeBack
from penstock.rollout.situation import Crew, Situation
from penstock.rollout.steps import Position, next_position
from penstock.router.ledger import Row
from penstock.router.routing import Role
from penstock.router.rows import row_json
from penstock.router.tally import Tally
from penstock.world import Evidence, Pod

START = datetime(2026, 11, 24, 6, tzinfo=UTC)
MARK = "fraud-2@20261124T060000Z"
PODS = ("a", "b")
SECONDS = 24
ASKED_EVERY = 4
"""Seconds between two questions to the machine."""
FIRST_EPOCH = 4
ROLLOUT = Rollout(steps=tuple(Step(weight=weight, min_requests=40) for weight in (10, 25, 50)))
NO_TOLERANCE = Criteria(tuple(Guardrail(name, name, Tolerance(1.0, 0.0)) for name in ("failed", "refused")))
"""By it a candidate that is as good as stable stands exactly on the line: it allows no difference at all."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one release. Rates are probabilities for each request; `harm` multiplies the candidate's."""

    traffic: float
    failing: float
    refusing: float
    hours: tuple[float, float]
    """Where in its day each router pod stands at first, in radians."""
    incident: tuple[int, int, int]
    """Router pod, first and last second."""
    lag: int
    """Seconds by which the second pod follows a new weight later than the first."""
    harm: float = 1.0

    @classmethod
    def drawn(cls, rng: Generator, harm: float = 1.0) -> "Truth":
        """Any of those that a good release may meet."""
        begins = int(rng.integers(0, SECONDS))
        return cls(
            traffic=float(rng.choice([15.0, 60.0, 200.0])),
            failing=float(rng.choice([0.002, 0.01, 0.05])),
            refusing=float(rng.choice([0.0, 0.01, 0.1])),
            hours=(float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0, 2 * math.pi))),
            incident=(int(rng.integers(0, 2)), begins, begins + int(rng.integers(1, 10))),
            lag=int(rng.integers(0, 4)),
            harm=harm,
        )


@dataclass(slots=True)
class Routers:
    """Two pods that count, and the weight that each has taken over; `epochs` by the second from which it is in force."""

    truth: Truth
    rng: Generator
    epochs: list[tuple[int, int, int]] = field(default_factory=lambda: [(-SECONDS, FIRST_EPOCH, 10)])

    def rows(self, pod: int, second: int) -> Iterator[Row]:
        """What a pod counted in a second."""
        truth, rng = self.truth, self.rng
        epoch, weight = next((e, w) for since, e, w in reversed(self.epochs) if since + pod * truth.lag <= second)
        day = 1.0 + 0.9 * math.sin(truth.hours[pod] + 2 * math.pi * second / SECONDS)
        ill = 6.0 if truth.incident[0] == pod and truth.incident[1] <= second <= truth.incident[2] else 1.0
        requests = int(rng.poisson(truth.traffic * day))
        candidate = int(rng.binomial(requests, weight / 100))
        for arm, count, harm in ((Role.CANDIDATE, candidate, truth.harm), (Role.STABLE, requests - candidate, 1.0)):
            failed = int(rng.binomial(count, min(1.0, truth.failing * day * ill * harm)))
            refused = int(rng.binomial(count - failed, min(1.0, truth.refusing * harm)))
            tally = Tally(requests=count, errors=failed, refused=refused)
            yield Row("fraud", MARK, epoch, arm, f"fraud-{arm}", float(weight), (), tally)

    def follow(self, second: int, epoch: int, weight: int) -> None:
        """A new weight comes."""
        self.epochs.append((second, epoch, weight))


def end_of(truth: Truth, rng: Generator, criteria: Criteria = NO_TOLERANCE) -> str:
    """How the release ends: RolledBack, Promoted, or Open when its time is up; and at which weight, as `Open 50`."""
    name = ReleaseName("fraud", "fraud-2", START, MARK)
    following = Following(name, criteria, Judge(criteria))
    routers = Routers(truth, rng)
    begin = START.timestamp()
    following.attend(PODS, begin)
    release = Release(started_at=START, epoch=FIRST_EPOCH, step=0, step_since=START, weight=10, terms=terms_of(ROLLOUT))
    for second in range(SECONDS):
        now = begin + second + 1
        for pod, whose in enumerate(PODS):
            told = tuple(row_json(row, whose, "boot", now) for row in routers.rows(pod, second))
            following.take(whose, Page(told, str(second + 1), now, gap=False), now)
        while following.advance(now, 500):
            pass
        if second % ASKED_EVERY != ASKED_EVERY - 1 and not following.judge.rolled_back:
            continue
        match next_move(_situation(release, evidence_of(following, now), now)):
            case TakeBack():
                return f"RolledBack {release.weight}"
            case Promote():
                return f"Promoted {release.weight}"
            case Advance(step, weight):
                since = START + timedelta(seconds=second + 1)
                changes = {"step": step, "weight": weight, "epoch": release.epoch + 1, "step_since": since}
                release = release.model_copy(update=changes)
                routers.follow(second + 1, release.epoch, weight)
    return f"Open {release.weight}"


def _crew() -> Crew:
    pod = Pod("pod", "uid", "fraud", "10.0.0.1", "Running", True, False, START, "node", "", "")
    return Crew((pod,), 1, "")


CREW = _crew()


def _situation(release: Release, evidence: Evidence | None, now: float) -> Situation:
    """The release with nothing in its way but what the evidence says."""
    at = Position(release.step, release.weight)
    following = next_position(ROLLOUT.steps, at)
    allowed = following is None or (
        evidence is not None
        and forecast.step_allowed(
            forecast.Step(following.weight / 100, min_requests=40),
            evidence.requests,
            evidence.judgement.log_evalue,
            evidence.judgement.highest_harm,
        )
    )
    return Situation(
        now=datetime.fromtimestamp(now, UTC),
        rollout=ROLLOUT,
        strategy=Strategy.CANARY,
        paused=False,
        obstacle=None,
        asked=None,
        release=release,
        candidate=CREW,
        stable=CREW,
        crash=None,
        nodes={},
        confirmed=True,
        reachable=1,
        evidence=evidence,
        exposure_allowed=allowed,
        requests_wanted=40,
    )
