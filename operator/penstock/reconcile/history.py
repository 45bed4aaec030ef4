"""How past releases ended, from the records; the status adds what the records no longer tell."""

from collections.abc import Iterable

from penstock.api.modelrevision import ModelRevision, Role
from penstock.api.reasons import Reason
from penstock.api.status import HistoryRow, Outcome

LONGEST = 20


def history_of(revisions: Iterable[ModelRevision], before: Iterable[HistoryRow]) -> tuple[HistoryRow, ...]:
    """The last releases, the newest first. A release is known by its revision and its start: what a record says of it
    replaces what was told before."""
    rows = {(row.revision, row.started_at): row for row in before}
    for revision in revisions:
        row = _row_of(revision)
        if row is not None:
            rows[(row.revision, row.started_at)] = row
    newest_first = sorted(rows.values(), key=lambda row: (row.ended_at, row.started_at, row.revision), reverse=True)
    return tuple(newest_first[:LONGEST])


def _row_of(revision: ModelRevision) -> HistoryRow | None:
    record = revision.record
    release = record.release
    if release is None or record.reason is None or record.role is Role.CANDIDATE:
        return None
    outcome = _outcome(record.role, record.reason)
    ended = record.promoted_at if outcome is Outcome.PROMOTED else record.since
    if ended is None:
        return None
    return HistoryRow(
        revision=revision.metadata.name,
        outcome=outcome,
        reason=record.reason,
        started_at=release.started_at,
        ended_at=ended,
    )


def _outcome(role: Role, reason: Reason) -> Outcome:
    match reason:
        case Reason.HARM_EXCLUDED | Reason.PROMOTED:
            return Outcome.PROMOTED
        case Reason.SUPERSEDED:
            return Outcome.SUPERSEDED
        case Reason.RETURNED:
            return Outcome.RETURNED
        case Reason.DEADLINE_EXCEEDED:
            return Outcome.DEADLINE_EXCEEDED
        case _:
            return Outcome.ROLLED_BACK if role is Role.REJECTED else Outcome.FAILED
