"""Events: what changed from the status that is there to the one that will be, each once."""

import hashlib
from collections.abc import Iterator

from penstock.api.base import clip
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.names import API_VERSION
from penstock.api.phases import Phase
from penstock.api.served import Backend
from penstock.api.status import ActionResult, CandidateStatus, ModelDeploymentStatus, Outcome, StableStatus
from penstock.reconcile.effects import Event, EventType, Ref

_TOLD = frozenset(
    {Phase.HOLDING, Phase.PAUSED, Phase.DEADLINE_EXCEEDED, Phase.REFUSED, Phase.FAILED, Phase.UNAVAILABLE}
)
"""Phases that people are told of; the others follow from steps and outcomes, which they are told of."""
_SERVED = {
    Backend.ONNX: ("ServedByOnnx", "is served by ONNX Runtime; its ModelRevision tells what was proved"),
    Backend.SCIKIT_LEARN: ("ServedByScikitLearn", "is served by scikit-learn"),
}
_GOOD = frozenset({Outcome.PROMOTED, Outcome.SUPERSEDED, Outcome.RETURNED})


def events_of(deployment: ModelDeployment, after: ModelDeploymentStatus) -> Iterator[Event]:
    """The transitions from the deployment's status to `after`.

    The names are made from what the transition is, not from when it is told.
    """
    before = deployment.status
    yield from _outcomes(deployment, before, after)
    yield from _steps(deployment, before, after)
    yield from _served(deployment, before, after)
    yield from _phases(deployment, before, after)
    yield from _answers(deployment, before, after)


def _outcomes(
    deployment: ModelDeployment, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> Iterator[Event]:
    known = {(row.revision, row.started_at, row.outcome) for row in before.history}
    for row in reversed(after.history):
        if (row.revision, row.started_at, row.outcome) in known:
            continue
        kind = EventType.NORMAL if row.outcome in _GOOD else EventType.WARNING
        yield _event(
            deployment,
            kind,
            row.reason.value,
            row.outcome.value,
            f"{row.revision}: {row.outcome.value} ({row.reason.value}). {row.reason.advice}",
            row.revision,
            row.started_at.isoformat(),
        )


def _steps(deployment: ModelDeployment, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    now, then = after.candidate, before.candidate
    if now is None or (
        then is not None and (then.revision, then.step, then.weight) == (now.revision, now.step, now.weight)
    ):
        return
    says = f"{now.revision} gets {now.weight} % of the traffic (step {now.step + 1})."
    if now.weight == 0:
        says = f"{now.revision} is being started; it gets traffic when it is ready."
    yield _event(
        deployment, EventType.NORMAL, "Releasing", "SetWeight", says, now.revision, str(now.step), str(now.weight),
        now.since.isoformat(),
    )  # fmt: skip


def _served(
    deployment: ModelDeployment, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> Iterator[Event]:
    """What serves a revision, when its pods first say so and when they say otherwise; not again when one that was
    released before comes back."""
    known = {arm.revision: (arm.backend, arm.fallback_reason) for arm in _arms(before)}
    released = {row.revision for row in before.history}
    for arm in _arms(after):
        now = (arm.backend, arm.fallback_reason)
        if arm.backend not in _SERVED or known.get(arm.revision, now if arm.revision in released else None) == now:
            continue
        reason, says = _SERVED[arm.backend]
        why = "" if arm.fallback_reason is None else f": {arm.fallback_reason}"
        yield _event(
            deployment, EventType.NORMAL, reason, "Serve", f"{arm.revision} {says}{why}",
            arm.revision, arm.backend, arm.fallback_reason or "",
        )  # fmt: skip


def _arms(status: ModelDeploymentStatus) -> tuple[StableStatus | CandidateStatus, ...]:
    return tuple(arm for arm in (status.stable, status.candidate) if arm is not None)


def _phases(
    deployment: ModelDeployment, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> Iterator[Event]:
    if after.phase is None or after.phase not in _TOLD or _where(before) == _where(after):
        return
    phase, reason = _where(after)
    kind = EventType.NORMAL if after.phase is Phase.PAUSED else EventType.WARNING
    candidate = "" if after.candidate is None else f"{after.candidate.revision}/{after.candidate.step}"
    yield _event(
        deployment, kind, reason, phase, after.message, phase, candidate, str(after.epoch),
        str(after.observed_generation),
    )  # fmt: skip


def _where(status: ModelDeploymentStatus) -> tuple[str, str]:
    ready = next((it for it in status.conditions if it.type == "Ready"), None)
    return ("" if status.phase is None else status.phase.value, "" if ready is None else ready.reason.value)


def _answers(
    deployment: ModelDeployment, before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> Iterator[Event]:
    answer = after.last_action
    if answer is None or answer == before.last_action:
        return
    done = answer.result is ActionResult.DONE
    yield _event(
        deployment,
        EventType.NORMAL if done else EventType.WARNING,
        f"Action{answer.result.value}",
        answer.verb.value.capitalize(),
        f"{answer.verb.value} {answer.value}: {answer.message}",
        answer.verb.value,
        answer.value,
        "" if done else answer.message,
    )


def _event(deployment: ModelDeployment, kind: EventType, reason: str, action: str, note: str, *identity: str) -> Event:
    metadata = deployment.metadata
    text = "\n".join((metadata.uid, reason, action, *identity))
    return Event(
        name=f"{metadata.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        regarding=Ref(API_VERSION, deployment.kind, metadata.namespace, metadata.name),
        uid=metadata.uid,
        type=kind,
        reason=reason,
        action=action,
        note=clip(note, 1024),
    )
