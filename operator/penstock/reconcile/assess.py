"""From the snapshot to the situation of a release: what the state machine is asked about."""

from penstock.api.actions import Verb
from penstock.api.modelrevision import ModelRevision, Record
from penstock.api.rollout import Strategy
from penstock.judge import forecast
from penstock.rollout.crash import crash_of
from penstock.rollout.situation import Crew, Situation
from penstock.rollout.steps import Position, next_position, pause_at, requests_wanted
from penstock.rollout.trouble import Cure, Trouble
from penstock.world import Evidence, Pod, World


def crew_of(world: World, revision: str) -> Crew:
    """The pods of a revision. Pods older than the deployment belonged to another one of its name."""
    made = world.deployment.metadata.creation_timestamp
    pods = tuple(p for p in world.pods if p.revision == revision and (made is None or p.created_at >= made))
    failure = next((workload.failure for workload in world.workloads if workload.revision == revision), "")
    return Crew(pods, world.deployment.spec.runtime.replicas, failure)


def failure_of(world: World, candidate: ModelRevision) -> Trouble | None:
    """What kept a candidate from ever getting traffic, when only a person could have helped it."""
    release = candidate.record.release
    if release is None or release.weight > 0:
        return None
    crew = crew_of(world, candidate.metadata.name)
    trouble = None if crew.ready > 0 else crew.trouble(world.troubled_nodes, release.started_at, world.now)
    return trouble if trouble is not None and trouble.cure is Cure.PERSON else None


def evidence_of(world: World, revision: ModelRevision) -> Evidence | None:
    """The evidence, if it is about this release of this revision."""
    evidence, release = world.evidence, revision.record.release
    if evidence is None or release is None or evidence.revision != revision.metadata.name:
        return None
    return evidence if evidence.started_at == release.started_at else None


def situation_of(
    world: World,
    candidate: ModelRevision,
    stable: ModelRevision | None,
    asked: Verb | None,
    obstacle: Trouble | None,
) -> Situation:
    """The situation of a candidate beside the stable revision; in the watch after a promotion, of the promoted one
    beside its predecessor."""
    release = candidate.record.release
    assert release is not None
    spec = world.deployment.spec
    crew = crew_of(world, candidate.metadata.name)
    others = None if stable is None else crew_of(world, stable.metadata.name)
    beside: tuple[Pod, ...] = () if others is None else others.pods
    evidence = evidence_of(world, candidate)
    at = Position(release.step, release.weight)
    requests = _requests_wanted(world, at)
    return Situation(
        now=world.now,
        rollout=spec.rollout,
        strategy=strategy_of(world, candidate.record, stable),
        paused=spec.paused,
        obstacle=obstacle,
        asked=asked,
        release=release,
        candidate=crew,
        stable=others,
        crash=crash_of(crew.pods, beside, world.troubled_nodes, world.now),
        nodes=world.troubled_nodes,
        confirmed=world.route.confirmed is not None and world.route.confirmed >= release.epoch,
        reachable=world.route.reachable if world.route.candidate == candidate.metadata.name else 0,
        evidence=evidence,
        exposure_allowed=evidence is not None and _exposure_allowed(world, at, requests, evidence),
        requests_wanted=requests,
    )


def strategy_of(world: World, record: Record, stable: ModelRevision | None) -> Strategy:
    """How the candidate gets its traffic. Once it has some, that is settled.

    A revision that was stable before, and is wanted again while its successor is under watch, needs no second proof.
    """
    rollout, release = world.deployment.spec.rollout, record.release
    if release is not None and release.weight > 0:
        return Strategy.CANARY
    if release is not None and record.promoted_at is not None and stable is not None:
        promoted_at = stable.record.promoted_at
        if promoted_at is not None and release.started_at <= promoted_at + rollout.watch_for.timedelta:
            return Strategy.IMMEDIATE
    return rollout.strategy if release is None else release.terms.strategy


def _requests_wanted(world: World, at: Position) -> int:
    steps = world.deployment.spec.rollout.steps
    if pause_at(steps, at) is not None:
        return 0
    asked = requests_wanted(steps, at)
    return forecast.Step(at.weight / 100).min_requests if asked is None else asked


def _exposure_allowed(world: World, at: Position, requests: int, evidence: Evidence) -> bool:
    following = next_position(world.deployment.spec.rollout.steps, at)
    if following is None:
        return True
    step = forecast.Step(following.weight / 100, min_requests=requests)
    judgement = evidence.judgement
    return forecast.step_allowed(step, evidence.requests, judgement.log_evalue, judgement.highest_harm)
