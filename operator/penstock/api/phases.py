"""Phases: where a deployment stands, and what each means to tools that read conditions.

The rows are the published contract with kstatus (Flux, `kubectl wait`) and Argo CD.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from penstock.api.conditions import ConditionStatus
from penstock.api.kstatus import KStatus
from penstock.api.rollout import ReadyWhen


class Phase(StrEnum):
    """Where a deployment stands."""

    STARTING = "Starting"
    RELEASING = "Releasing"
    HOLDING = "Holding"
    PAUSED = "Paused"
    STABLE = "Stable"
    WATCHING = "Watching"
    ROLLED_BACK = "RolledBack"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    REFUSED = "Refused"
    FAILED = "Failed"
    UNAVAILABLE = "Unavailable"


class ArgoHealth(StrEnum):
    """What Argo CD shows."""

    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a phase looks like from outside: the three conditions that tools read, and what they conclude."""

    ready: ConditionStatus
    reconciling: bool
    stalled: bool
    kstatus: KStatus
    argo: ArgoHealth


_UNDER_WAY = Reading(
    ready=ConditionStatus.UNKNOWN,
    reconciling=True,
    stalled=False,
    kstatus=KStatus.IN_PROGRESS,
    argo=ArgoHealth.PROGRESSING,
)
_WELL = Reading(
    ready=ConditionStatus.TRUE, reconciling=False, stalled=False, kstatus=KStatus.CURRENT, argo=ArgoHealth.HEALTHY
)
_ENDED = Reading(
    ready=ConditionStatus.FALSE, reconciling=False, stalled=True, kstatus=KStatus.FAILED, argo=ArgoHealth.DEGRADED
)

READINGS: Mapping[Phase, Reading] = MappingProxyType(
    {
        Phase.STARTING: _UNDER_WAY,
        Phase.RELEASING: _UNDER_WAY,
        Phase.HOLDING: _UNDER_WAY,
        Phase.PAUSED: replace(_UNDER_WAY, argo=ArgoHealth.SUSPENDED),
        Phase.STABLE: _WELL,
        Phase.WATCHING: _WELL,
        Phase.ROLLED_BACK: _ENDED,
        Phase.DEADLINE_EXCEEDED: _ENDED,
        Phase.REFUSED: _ENDED,
        Phase.FAILED: _ENDED,
        Phase.UNAVAILABLE: replace(_UNDER_WAY, ready=ConditionStatus.FALSE, argo=ArgoHealth.DEGRADED),
    }
)
"""What each phase looks like with `readyWhen: Released`."""

READINGS_SERVING: Mapping[Phase, Reading] = MappingProxyType(
    {
        **READINGS,
        Phase.RELEASING: _WELL,
        Phase.HOLDING: _WELL,
        Phase.PAUSED: replace(_WELL, argo=ArgoHealth.SUSPENDED),
    }
)
"""What each phase looks like with `readyWhen: Serving`: a release under way leaves Ready as it was."""


def reading_of(phase: Phase, ready_when: ReadyWhen) -> Reading:
    """What tools are to read in this phase."""
    match ready_when:
        case ReadyWhen.RELEASED:
            return READINGS[phase]
        case ReadyWhen.SERVING:
            return READINGS_SERVING[phase]
