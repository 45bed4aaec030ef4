"""Conditions from a phase, as the published table says."""

from collections.abc import Iterable
from datetime import datetime

from penstock.api.conditions import Condition, ConditionStatus, ConditionType
from penstock.api.phases import Phase, reading_of
from penstock.api.reasons import Reason
from penstock.api.rollout import ReadyWhen
from penstock.reconcile.outlook import Outlook


def condition(
    kind: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: str,
    generation: int,
    before: Iterable[Condition],
    now: datetime,
) -> Condition:
    """One condition; its transition time is that of the last change of its status."""
    old = next((it for it in before if it.type is kind), None)
    since = old.last_transition_time if old is not None and old.status is status else now
    return Condition(
        type=kind,
        status=status,
        observed_generation=generation,
        last_transition_time=since,
        reason=reason,
        message=message,
    )


def conditions_of(
    outlook: Outlook,
    ready_when: ReadyWhen,
    available: tuple[bool, Reason, str],
    released: tuple[bool, Reason, str],
    generation: int,
    before: tuple[Condition, ...],
    now: datetime,
) -> tuple[Condition, ...]:
    """All conditions of a deployment. Reconciling and Stalled are there only while they are True."""
    reading = reading_of(outlook.phase, ready_when)
    wanted = [(ConditionType.READY, reading.ready, outlook.reason, outlook.message)]
    if reading.reconciling:
        wanted.append((ConditionType.RECONCILING, ConditionStatus.TRUE, outlook.reason, outlook.message))
    if reading.stalled:
        wanted.append((ConditionType.STALLED, ConditionStatus.TRUE, outlook.reason, outlook.message))
    for kind, (holds, reason, message) in (
        (ConditionType.AVAILABLE, available),
        (ConditionType.RELEASED, released),
    ):
        wanted.append((kind, ConditionStatus.TRUE if holds else ConditionStatus.FALSE, reason, message))
    return tuple(
        condition(kind, status, reason, message, generation, before, now) for kind, status, reason, message in wanted
    )


STALLED = frozenset(phase for phase in Phase if reading_of(phase, ReadyWhen.RELEASED).stalled)
"""Phases in which nothing happens without a person."""
