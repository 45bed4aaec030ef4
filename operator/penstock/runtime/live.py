"""What is judged right now, for people and for metrics."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from penstock.evidence.following import Following
from penstock.evidence.puller import Puller
from penstock.evidence.words import judgement_of
from penstock.runtime.hearing import Hearing
from penstock.runtime.metrics import Sample
from penstock.runtime.queue import WorkQueue


def live_evidence(following: Following, now: float) -> Mapping[str, Any]:
    """A followed release as JSON; `evidence` has the form of `status.evidence`."""
    verdict = following.judge.verdict(following.until)
    judgement = judgement_of(verdict, following.criteria)
    streams = [stream for pod, stream in following.streams.items() if pod in following.pods and stream.heard_at]
    as_of = min((stream.as_of for stream in streams), default=None)
    return {
        "deployment": following.name.model,
        "revision": following.name.revision,
        "startedAt": _instant(following.name.started_at.timestamp()),
        "asOf": None if as_of is None else _instant(as_of),
        "epoch": following.epoch,
        "weight": round(100.0 * following.judge.weight, 2),
        "requestsAtEpoch": following.requests,
        "decision": judgement.decision.value,
        "reason": judgement.reason.value,
        "says": judgement.says,
        "logEvalue": round(judgement.log_evalue, 4),
        "threshold": round(following.criteria.rollback_threshold, 4),
        "requests": {"stable": verdict.stable_requests, "candidate": verdict.candidate_requests},
        "saturated": following.saturated,
        "unreachable": list(following.unreachable(now)),
        "faults": dict(verdict.faults),
        "evidence": [row.model_dump(mode="json", by_alias=True, exclude_none=True) for row in judgement.rows],
    }


def samples(puller: Puller, queue: WorkQueue, hearing: Hearing, monotonic: float) -> Iterator[Sample]:
    """Every gauge."""
    backlog = queue.backlog
    yield Sample("queue_depth", "Objects that wait for a worker.", (), backlog.depth)
    yield Sample("queue_oldest_seconds", "How long the longest waiting has waited.", (), backlog.oldest(monotonic))
    yield Sample("queue_failing", "Objects whose last pass failed.", (), len(backlog.failures))
    for kind, seconds in sorted(hearing.deaf(monotonic).items()):
        yield Sample(
            "watch_deaf_seconds", "How long a watch has not told of what was read.", (("kind", kind),), seconds
        )
    pulled = puller.pulled
    for name, says, count in (
        ("ledger_pages", "Pages pulled from routers' ledgers.", pulled.pages),
        ("ledger_rows", "Rows pulled from routers' ledgers.", pulled.rows),
        ("ledger_gaps", "Pages before which rows were lost for good.", pulled.gaps),
        ("ledger_unanswered", "Pulls that a router did not answer.", pulled.unanswered),
    ):
        yield Sample(name, says, (), count)
    for (namespace, name), following in sorted(puller.followed.items()):
        yield from _release(namespace, name, following)


def _release(namespace: str, name: str, following: Following) -> Iterator[Sample]:
    who = (("namespace", namespace), ("deployment", name), ("revision", following.name.revision))
    verdict = following.judge.verdict(following.until)
    for arm, count in (("stable", verdict.stable_requests), ("candidate", verdict.candidate_requests)):
        yield Sample("release_requests", "Requests judged, by arm.", (*who, ("arm", arm)), count)
    yield Sample("release_log_evalue", "Log of the e-value for harm.", who, verdict.log_evalue)
    yield Sample("release_threshold", "Where it takes the candidate back.", who, verdict.threshold)
    for metric in verdict.metrics:
        rail = (*who, ("guardrail", metric.name))
        yield Sample("guardrail_log_evalue", "Log of a guardrail's e-value for harm.", rail, metric.log_evalue)
        yield Sample("guardrail_threshold", "Where it alone takes the candidate back.", rail, metric.threshold)
        yield Sample(
            "guardrail_log_evalue_promotion",
            "Log of a guardrail's e-value against harm.",
            rail,
            metric.log_evalue_promotion,
        )
        yield Sample("guardrail_threshold_promotion", "Where it allows promotion.", rail, metric.threshold_promotion)


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
