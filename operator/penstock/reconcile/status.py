"""The status: a view of the records, the pods and the router as they are."""

from penstock.api.conditions import Condition
from penstock.api.modelrevision import ModelRevision
from penstock.api.names import LABEL_DEPLOYMENT, LABEL_REVISION
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.served import Backend
from penstock.api.status import CandidateStatus, EvidenceRow, ModelDeploymentStatus, StableStatus
from penstock.reconcile.assess import evidence_of
from penstock.reconcile.book import Book
from penstock.reconcile.conditions import STALLED, conditions_of
from penstock.reconcile.decide import Decided, refresh_due, whole_second
from penstock.reconcile.hearing import last_action
from penstock.reconcile.history import history_of
from penstock.reconcile.outlook import Outlook
from penstock.reconcile.wanted import Wanted
from penstock.reconcile.way import gap_of
from penstock.world import World


def status_of(world: World, decided: Decided, wanted: Wanted | None, outlook: Outlook) -> ModelDeploymentStatus:
    """The status as it should be."""
    deployment, book = world.deployment, decided.book
    before = deployment.status
    stable, candidate = book.stable, book.candidate
    generation = deployment.metadata.generation
    outlook = _steady(before, outlook, generation)
    return ModelDeploymentStatus(
        observed_generation=generation,
        epoch=max(book.epoch, before.epoch),
        phase=outlook.phase,
        message=outlook.message,
        url=_url(world),
        conditions=conditions_of(
            outlook,
            deployment.spec.rollout.ready_when,
            _available(world, stable),
            _released(stable, wanted, outlook),
            generation,
            before.conditions,
            whole_second(world.now),
        ),
        replicas=0 if stable is None else _replicas(world, stable),
        selector="" if stable is None else _selector(deployment.metadata.name, stable),
        stable=_stable(stable),
        candidate=_candidate(candidate),
        evidence=_evidence(world, book),
        history=history_of(book.revisions.values(), before.history),
        last_action=last_action(book, decided.hearing.homeless, before.last_action),
    )


def needs_writing(world: World, status: ModelDeploymentStatus) -> bool:
    """Whether the status says something new: at once for what moved, once a minute for how far things are."""
    before = world.deployment.status
    if status == before:
        return False
    return _moved(status) != _moved(before) or refresh_due(world)


def _moved(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """A status without what changes while nothing moves: sentences, counts, and what a release just now waits for."""
    quiet = tuple(_quiet(condition, status.phase) for condition in status.conditions)
    return status.model_copy(update={"message": "", "evidence": (), "conditions": quiet})


def _quiet(condition: Condition, phase: Phase | None) -> Condition:
    reason = Reason.RELEASING if phase is Phase.RELEASING else condition.reason
    return condition.model_copy(update={"message": "", "reason": reason})


def _steady(before: ModelDeploymentStatus, outlook: Outlook, generation: int) -> Outlook:
    """A stalled deployment is told once: its pods' words may go on changing while nothing changes for people."""
    ready = next((it for it in before.conditions if it.type == "Ready"), None)
    same = (
        (before.phase, before.observed_generation) == (outlook.phase, generation)
        and ready is not None
        and ready.reason is outlook.reason
    )
    if outlook.phase not in STALLED or not same or not before.message:
        return outlook
    return Outlook(outlook.phase, outlook.reason, before.message, outlook.until)


def _url(world: World) -> str:
    if world.route.port is None:
        return ""
    metadata, port = world.deployment.metadata, world.deployment.spec.service.port
    return f"http://{metadata.name}.{metadata.namespace}.svc{'' if port == 80 else f':{port}'}"


def _replicas(world: World, stable: ModelRevision) -> int:
    name = stable.metadata.name
    return next((workload.replicas for workload in world.workloads if workload.revision == name), 0)


def _selector(deployment: str, stable: ModelRevision) -> str:
    return f"{LABEL_DEPLOYMENT}={deployment},{LABEL_REVISION}={stable.metadata.name}"


def _available(world: World, stable: ModelRevision | None) -> tuple[bool, Reason, str]:
    if stable is None:
        return False, Reason.STARTING, "No revision has been ready yet."
    gap = gap_of(world, stable)
    if gap is not None:
        return False, gap.reason, gap.message
    return True, Reason.STABLE, f"{stable.metadata.name} serves."


def _released(stable: ModelRevision | None, wanted: Wanted | None, outlook: Outlook) -> tuple[bool, Reason, str]:
    if stable is not None and wanted is not None and stable.metadata.name == wanted.name:
        return True, stable.record.reason or Reason.PROMOTED, stable.record.message or f"{wanted.name} was promoted."
    return False, outlook.reason, outlook.message


def _stable(stable: ModelRevision | None) -> StableStatus | None:
    if stable is None:
        return None
    backend, why = _served(stable)
    return StableStatus(revision=stable.metadata.name, backend=backend, fallback_reason=why)


def _candidate(candidate: ModelRevision | None) -> CandidateStatus | None:
    if candidate is None or candidate.record.release is None:
        return None
    release = candidate.record.release
    backend, why = _served(candidate)
    return CandidateStatus(
        revision=candidate.metadata.name,
        backend=backend,
        fallback_reason=why,
        weight=release.weight,
        step=release.step,
        since=release.step_since,
    )


def _served(revision: ModelRevision) -> tuple[Backend | None, str | None]:
    served = revision.record.served
    return (None, None) if served is None else (served.backend, served.fallback_reason)


def _evidence(world: World, book: Book) -> tuple[EvidenceRow, ...]:
    """The evidence on the release under way or just ended; it stays until the next release has some."""
    before = world.deployment.status
    for revision in (book.candidate, *map(book.find, book.changed), book.stable):
        evidence = None if revision is None else evidence_of(world, revision)
        if evidence is not None:
            return evidence.judgement.rows
    candidate = book.candidate
    told = before.candidate
    if candidate is not None and (told is None or told.revision != candidate.metadata.name):
        return ()
    return before.evidence
