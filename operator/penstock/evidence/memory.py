"""What a restart must know of a followed release, as text that is kept with its ModelRevision."""

import base64
import json
from collections.abc import Mapping

from penstock.evidence.following import Following, ReleaseName
from penstock.evidence.stream import Last, Stream
from penstock.judge.criteria import Criteria
from penstock.judge.release import Release
from penstock.judge.state import UnreadableState, dump, resume

LIMIT = 65_536
"""Bytes that a ModelRevision keeps of it."""

_VERSION = 1


def write(following: Following) -> str:
    """The judge's state, the counts, and where each router stood; empty when it would exceed `LIMIT`, in which case a
    restart reads the ledgers from the beginning."""
    text = json.dumps(
        {
            "v": _VERSION,
            "judge": base64.b64encode(dump(following.judge)).decode(),
            "until": following.until,
            "epoch": following.epoch,
            "requests": following.requests,
            "streams": {
                pod: [
                    stream.shown,
                    *(() if (last := stream.last) is None else (last.router, last.version, last.weight)),
                ]
                for pod, stream in following.streams.items()
                if stream.kept or stream.shown
            },
        },
        separators=(",", ":"),
    )
    return text if len(text.encode()) <= LIMIT else ""


def resumed(name: ReleaseName, criteria: Criteria, cursors: Mapping[str, str], text: str) -> Following:
    """The release as it was left, reading on from the cursors; from the beginning when there is nothing to resume.

    Raises UnreadableState for a text that is no such memory, or is of a release with other criteria.
    """
    if not text:
        return Following(name, criteria, Release(criteria))
    try:
        told = json.loads(text)
        if told["v"] != _VERSION:
            raise UnreadableState(f"the memory has version {told['v']}, this is version {_VERSION}")
        following = Following(name, criteria, resume(criteria, base64.b64decode(told["judge"])))
        following.until = float(told["until"])
        following.epoch, following.requests = int(told["epoch"]), int(told["requests"])
        for pod, (shown, *last) in told["streams"].items():
            cursor = cursors.get(pod, "")
            following.streams[pod] = Stream(
                cursor=cursor, kept=cursor, shown=float(shown), last=Last(*last) if last else None
            )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, UnreadableState):
            raise
        raise UnreadableState(f"the memory is damaged ({error})") from error
    return following
