"""What becomes of a revision's record: one function for each transition.

`epoch` is the deployment's so far. Every change of arms or weights makes it grow by one, because routers tell changes by
it; whoever carries the highest one changed last.
"""

from datetime import datetime

from penstock.api.base import clip
from penstock.api.modelrevision import Record, Release, Role, Terms
from penstock.api.reasons import Reason
from penstock.rollout.pods import FULL
from penstock.world import Evidence


def started(record: Record, now: datetime, epoch: int, terms: Terms) -> Record:
    """A release begins: the routers learn of the candidate, which gets no traffic yet."""
    release = Release(started_at=now, epoch=epoch + 1, step_since=now, terms=terms)
    return record.model_copy(
        update={"role": Role.CANDIDATE, "reason": None, "message": "", "since": now, "release": release}
    )


def advanced(record: Record, step: int, weight: int, now: datetime, epoch: int) -> Record:
    """The next step begins."""
    release = _release(record)
    grown = epoch + 1 if weight != release.weight else release.epoch
    return _with_release(record, step=step, weight=weight, step_since=now, epoch=grown)


def promoted(record: Record, reason: Reason, message: str, now: datetime, epoch: int) -> Record:
    """The revision becomes the stable one."""
    return _with_release(record, weight=FULL, epoch=epoch + 1).model_copy(
        update=_role(Role.STABLE, reason, message, now) | {"promoted_at": now}
    )


def rejected(record: Record, reason: Reason, message: str, now: datetime, epoch: int) -> Record:
    """The revision is taken back and stays so. It does not count as promoted any more: a retry is a full release."""
    return _without_traffic(record, epoch).model_copy(
        update=_role(Role.REJECTED, reason, message, now) | {"promoted_at": None}
    )


def superseded(record: Record, reason: Reason, message: str, now: datetime, epoch: int) -> Record:
    """The release ends without a verdict, because the spec asks for something else. A revision that was stable before
    is again one that was."""
    role = Role.SUPERSEDED if record.promoted_at is None else Role.PREVIOUS
    return _without_traffic(record, epoch).model_copy(update=_role(role, reason, message, now))


def demoted(record: Record, now: datetime) -> Record:
    """Another revision is the stable one now."""
    return record.model_copy(update=_role(Role.PREVIOUS, record.reason, "A newer revision was promoted.", now))


def reinstated(record: Record, now: datetime, epoch: int) -> Record:
    """A previous revision is the stable one again, because its successor was taken back at this epoch. It was promoted
    when it was; no new watch begins."""
    return _with_release(record, weight=FULL, epoch=epoch).model_copy(
        update=_role(Role.STABLE, Reason.PROMOTED, "Its successor was taken back.", now)
    )


def remembered(record: Record, evidence: Evidence) -> Record:
    """The record with the judge's memory, so that a restart goes on where this left off."""
    return _with_release(record, cursors=dict(evidence.cursors), judge=evidence.memory)


def _role(role: Role, reason: Reason | None, message: str, now: datetime) -> dict[str, object]:
    return {"role": role, "reason": reason, "message": clip(message, 512), "since": now}


def _release(record: Record) -> Release:
    assert record.release is not None
    return record.release


def _without_traffic(record: Record, epoch: int) -> Record:
    return record if record.release is None else _with_release(record, weight=0, epoch=epoch + 1)


def _with_release(record: Record, **changes: object) -> Record:
    return record.model_copy(update={"release": _release(record).model_copy(update=changes)})
