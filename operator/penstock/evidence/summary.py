"""What is known of a followed release, for the snapshot."""

from collections.abc import Mapping
from datetime import UTC, datetime

from penstock.evidence.following import Following
from penstock.evidence.memory import write
from penstock.evidence.words import judgement_of
from penstock.world import Evidence

MOST_CURSORS = 32


def evidence_of(following: Following, now: float) -> Evidence | None:
    """The evidence; None before the judge has been shown anything since this process follows the release, and before
    anything was counted with a weight for the candidate: what is not to be had yet is not missing."""
    awaited = [stream for pod, stream in following.streams.items() if pod in following.pods and stream.heard_at]
    if not following.until or not awaited or not following.has_begun:
        return None
    verdict = following.judge.verdict(following.until)
    return Evidence(
        revision=following.name.revision,
        started_at=following.name.started_at,
        judgement=judgement_of(verdict, following.criteria),
        as_of=datetime.fromtimestamp(min(stream.as_of for stream in awaited), UTC),
        epoch=following.epoch,
        requests=following.requests,
        saturated=following.saturated,
        unreachable=following.unreachable(now),
        cursors=_cursors(following),
        memory=write(following),
    )


def _cursors(following: Following) -> Mapping[str, str]:
    """Where a restart would read on, by router pod."""
    known = [(pod, stream.kept) for pod, stream in sorted(following.streams.items()) if stream.kept]
    return dict(known[:MOST_CURSORS])
