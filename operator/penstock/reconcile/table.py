"""The routing table, from the records of all models of a namespace."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.api.guardrail import MOST_THRESHOLDS, Guardrail, Metric
from penstock.api.modelrevision import ModelRevision
from penstock.api.traffic import MAX_BODY
from penstock.reconcile.book import Book
from penstock.render.router_table import TABLE_KEY
from penstock.router.routing import FULL_WEIGHT, Arm, Dialect, ModelRoute, Protocol, Role, Threshold
from penstock.router.wire import write_model
from penstock.world import Live, Manifest, RoutedModel


@dataclass(frozen=True, slots=True)
class Entry:
    """One model's part of a table, as it stands there: `document` whole, the rest read from it.

    `weight` is the candidate's, in hundredths of a percent.
    """

    document: Manifest
    name: str
    uid: str
    port: int
    epoch: int
    stable: str
    candidate: str
    weight: int


def table_text(entries: Iterable[Entry]) -> str:
    """The table as the agents read it; the same entries always give the same text."""
    models = [entry.document for entry in sorted(entries, key=lambda entry: entry.name)]
    return json.dumps({"models": models}, indent=1, sort_keys=True) + "\n"


def entries_in(config_map: Live | None) -> Mapping[str, Entry]:
    """What a table holds, by name. What cannot be read there counts as absent: it is made anew."""
    if config_map is None:
        return {}
    try:
        models = json.loads((config_map.manifest.get("data") or {}).get(TABLE_KEY, ""))["models"]
        entries = [_entry(document) for document in models]
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {entry.name: entry for entry in entries}


def _entry(document: Manifest) -> Entry:
    arms = {arm["role"]: arm for arm in document["arms"]}
    candidate = arms.get(Role.CANDIDATE.value, {"revision": "", "weight": 0})
    return Entry(
        document=document,
        name=str(document["name"]),
        uid=str(document.get("uid", "")),
        port=int(document["port"]),
        epoch=int(document["epoch"]),
        stable=str(arms[Role.STABLE.value]["revision"]),
        candidate=str(candidate["revision"]),
        weight=int(candidate["weight"]),
    )


def entry_of(model: RoutedModel, port: int) -> Entry | None:
    """The entry of one model, None while it has no revision at all."""
    route = route_of(model, port)
    if route is None:
        return None
    document = write_model(route)
    has_pods = Book.of(model.revisions).stable is not None
    arms = [_arm_document(arm, has_pods=has_pods) for arm in route.arms]
    return _entry({**document, "arms": arms})


def _arm_document(arm: Arm, *, has_pods: bool) -> Manifest:
    """The agents fill in the addresses of the arm's Service themselves."""
    where: Manifest = {"service": arm.revision} if has_pods else {"endpoints": []}
    return {"revision": arm.revision, "role": arm.role.value, "weight": arm.weight, **where}


def route_of(model: RoutedModel, port: int) -> ModelRoute | None:
    """The route of one model.

    The candidate is in it from the start of its release, so that the routers know its pods before it gets traffic.
    Before any revision is stable, the one that may become so stands there without pods, so that callers get an answer.
    """
    deployment = model.deployment
    book = Book.of(model.revisions)
    stable, candidate = book.stable, book.candidate
    if stable is None:
        stable, candidate = candidate or max(book.revisions.values(), key=_newest, default=None), None
    if stable is None:
        return None
    weight = 0 if candidate is None else _weight(candidate)
    traffic = deployment.spec.traffic
    guardrails = deployment.spec.rollout.guardrails
    if candidate is not None and candidate.record.release is not None:
        guardrails = candidate.record.release.terms.guardrails
    return ModelRoute(
        name=deployment.metadata.name,
        uid=deployment.metadata.uid,
        release="" if candidate is None else release_id(candidate),
        port=port,
        epoch=book.epoch,
        timeout=traffic.timeout.milliseconds,
        try_timeout=traffic.try_timeout.milliseconds,
        max_body=min(traffic.max_body.bytes, MAX_BODY.bytes),
        idempotent=traffic.idempotent,
        dialect=Dialect.MARKED,
        protocol=Protocol.HTTP1,
        thresholds=thresholds_of(guardrails),
        stable=Arm(stable.metadata.name, Role.STABLE, FULL_WEIGHT - weight, ()),
        candidate=None if candidate is None else Arm(candidate.metadata.name, Role.CANDIDATE, weight, ()),
    )


def release_id(candidate: ModelRevision) -> str:
    """Name of one release: the revision and when it began, so that a retry is another one."""
    release = candidate.record.release
    assert release is not None
    return f"{candidate.metadata.name}@{release.started_at:%Y%m%dT%H%M%SZ}"


def thresholds_of(guardrails: Iterable[Guardrail]) -> tuple[Threshold, ...]:
    """What the routers count as slow, by guardrail."""
    found = [
        Threshold(str(guardrail.name), guardrail.threshold.milliseconds)
        for guardrail in guardrails
        if guardrail.metric is Metric.LATENCY and guardrail.threshold is not None
    ]
    return tuple(found[:MOST_THRESHOLDS])


def _weight(revision: ModelRevision) -> int:
    """Hundredths of a percent."""
    return 0 if revision.record.release is None else revision.record.release.weight * (FULL_WEIGHT // 100)


def _newest(revision: ModelRevision) -> tuple[float, str]:
    since = revision.record.since
    return (0.0 if since is None else since.timestamp(), revision.metadata.name)
