"""Where a deployment stands: its phase, why, and when time alone may change that."""

from dataclasses import dataclass
from datetime import datetime

from penstock.api.modelrevision import ModelRevision, Role
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.status import ModelDeploymentStatus, Outcome
from penstock.reconcile.book import Book
from penstock.reconcile.decide import Decided, warm_previous, watch_ends
from penstock.reconcile.wanted import Wanted
from penstock.reconcile.way import Gap, confirms, gap_of
from penstock.rollout.trouble import Cure, Trouble
from penstock.world import World


@dataclass(frozen=True, slots=True)
class Outlook:
    """Phase, reason, and one sentence for people. `until` is when time alone may change it."""

    phase: Phase
    reason: Reason
    message: str
    until: datetime | None = None


_SERVES = (Phase.STABLE, Phase.WATCHING)


def outlook_of(world: World, decided: Decided, wanted: Wanted | None, obstacle: Trouble | None) -> Outlook:
    """Where the deployment stands, as decided. Nobody is to take it for what a spec that cannot be read asks for."""
    found = _outlook_of(world, decided, wanted, obstacle)
    if not world.unreadable:
        return found
    says = "; ".join(str(problem) for problem in world.unreadable)
    return Outlook(
        Phase.REFUSED,
        Reason.INVALID_SPEC,
        f"The last spec that could be read stays in force, because this one cannot: {says}",
        found.until,
    )


def _outlook_of(world: World, decided: Decided, wanted: Wanted | None, obstacle: Trouble | None) -> Outlook:
    book = decided.book
    stable = book.stable
    if stable is not None and (gap := gap_of(world, stable)) is not None:
        return _interrupted(gap, world.deployment.status)
    if decided.hold is not None:
        hold = decided.hold
        return Outlook(hold.phase, hold.reason, hold.message, hold.until)
    if book.candidate is not None:
        return _under_way(book.candidate)
    if obstacle is not None:
        return _obstructed(obstacle, stable)
    there = None if wanted is None else book.find(wanted.name)
    if there is not None and there.record.role is Role.REJECTED:
        return _taken_back(world, there, stable)
    if stable is not None and (wanted is None or stable.metadata.name == wanted.name):
        return _serving(world, book, stable)
    return Outlook(Phase.PAUSED, Reason.PAUSED, f"{_called(wanted)} is wanted, but spec.paused is true.")


def _called(wanted: Wanted | None) -> str:
    return "Another revision" if wanted is None else f"Revision {wanted.name}"


def _interrupted(gap: Gap, before: ModelDeploymentStatus) -> Outlook:
    """Calls do not reach the stable revision: not yet, or no longer."""
    if gap.lasting:
        return Outlook(Phase.REFUSED, gap.reason, gap.message)
    return Outlook(_unless_first(Phase.UNAVAILABLE, before), gap.reason, gap.message)


def _unless_first(phase: Phase, before: ModelDeploymentStatus) -> Phase:
    """Until calls have reached a revision for the first time, the deployment is starting."""
    return Phase.STARTING if before.phase in (None, Phase.STARTING) else phase


def _under_way(candidate: ModelRevision) -> Outlook:
    release = candidate.record.release
    weight = 0 if release is None else release.weight
    return Outlook(
        Phase.RELEASING, Reason.RELEASING, f"{candidate.metadata.name} gets {weight} % of the traffic from now on."
    )


def _obstructed(obstacle: Trouble, stable: ModelRevision | None) -> Outlook:
    if obstacle.cure is Cure.TIME:
        phase = Phase.STARTING if stable is None else Phase.HOLDING
        return Outlook(phase, obstacle.reason, obstacle.message)
    return Outlook(Phase.REFUSED, obstacle.reason, obstacle.message)


def _taken_back(world: World, revision: ModelRevision, stable: ModelRevision | None) -> Outlook:
    record = revision.record
    reason = record.reason or Reason.ABORTED
    if stable is None:
        return Outlook(Phase.FAILED, reason, f"{record.message} {reason.advice}")
    phase = Phase.DEADLINE_EXCEEDED if reason is Reason.DEADLINE_EXCEEDED else Phase.ROLLED_BACK
    if _wanted_again(world.deployment.status, revision):
        return Outlook(
            Phase.ROLLED_BACK,
            Reason.REJECTED_BEFORE,
            f"{revision.metadata.name} was taken back before ({reason.value}): {record.message} "
            f"To try it again, annotate penstock.dev/retry: {revision.metadata.name}@<time>.",
        )
    return Outlook(phase, reason, f"{record.message} {stable.metadata.name} serves everything. {reason.advice}")


def _wanted_again(before: ModelDeploymentStatus, revision: ModelRevision) -> bool:
    """Whether a person learned that it was taken back, asked for something else, and asks for it again. Only the
    wording depends on it, so it may be forgotten with the status."""
    release = revision.record.release
    told = release is not None and any(
        (row.revision, row.started_at) == (revision.metadata.name, release.started_at)
        and row.outcome is not Outcome.PROMOTED
        for row in before.history
    )
    said = any(it.type == "Stalled" and it.reason is Reason.REJECTED_BEFORE for it in before.conditions)
    return told and (before.phase in _SERVES or (said and before.phase is Phase.ROLLED_BACK))


def _serving(world: World, book: Book, stable: ModelRevision) -> Outlook:
    name = stable.metadata.name
    if not confirms(world, book):
        return Outlook(
            _unless_first(Phase.RELEASING, world.deployment.status),
            Reason.WEIGHT_UNCONFIRMED,
            f"Not every router pod has confirmed that {name} gets all of the traffic.",
        )
    ends, previous = watch_ends(world, stable), warm_previous(world, book)
    if previous is not None:
        return Outlook(
            Phase.WATCHING,
            Reason.WATCHING,
            f"{name} serves; {previous.metadata.name} stays warm until {ends:%Y-%m-%dT%H:%M:%SZ}.",
            ends,
        )
    return Outlook(Phase.STABLE, Reason.STABLE, f"{name} serves.")
