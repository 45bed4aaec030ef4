"""One release, followed: its routers' ledgers in one order, and the judge that reads them. No IO; `now` is passed in."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from penstock.evidence.agents import SINCE_NOW, Page, Row
from penstock.evidence.stream import Stream, number
from penstock.judge.criteria import Criteria
from penstock.judge.release import Release
from penstock.judge.verdict import Decision, Reason
from penstock.judge.watermark import SILENCE

PATIENCE = 2.0
"""Seconds without an answer after which a router is not waited for: its rows are late when they come after all."""

JUST_BEGUN = 10.0
"""A release at most this many seconds old has no rows yet; an older one without a cursor is read from the start."""

_RECENTLY = 10.0
_NOTABLE_SHARE = 0.01
_NOTABLE_COUNT = 3


@dataclass(frozen=True, slots=True)
class ReleaseName:
    """Which release: a candidate, and when its release began; `mark` is how the routers' rows name it."""

    model: str
    revision: str
    started_at: datetime
    mark: str


@dataclass(slots=True)
class Following:
    """Pages in, a judge's state out. `streams` is by router pod; those in `pods` are waited for, each from the time in
    it on. `until` (by the routers' clock) is how far the judge has been told, `epoch` the newest that it has seen,
    `requests` what the candidate was assigned in it, `recent` the last seconds' (time, requests, turned away)."""

    name: ReleaseName
    criteria: Criteria
    judge: Release
    streams: dict[str, Stream] = field(default_factory=dict)
    pods: dict[str, float] = field(default_factory=dict)
    until: float = 0.0
    epoch: int = 0
    requests: int = 0
    recent: deque[tuple[float, int, int]] = field(default_factory=deque)

    def attend(self, pods: Iterable[str], now: float) -> None:
        """The router pods that there are now. What a pod that is gone has told is still shown."""
        self.pods = {pod: self.pods.get(pod, now) for pod in pods}
        for gone in [pod for pod, stream in self.streams.items() if pod not in self.pods and not stream.waiting]:
            del self.streams[gone]

    def since(self, pod: str, now: float) -> str:
        """The cursor with which to ask this pod next."""
        stream = self.streams.get(pod)
        if stream is not None and stream.cursor:
            return stream.cursor
        return SINCE_NOW if now - self.name.started_at.timestamp() <= JUST_BEGUN else ""

    def take(self, pod: str, page: Page, now: float) -> None:
        """Take in what a pod answered."""
        self.streams.setdefault(pod, Stream()).take(page, self.name.mark, now)

    def advance(self, now: float, most: int) -> bool:
        """Show the judge what is complete, about `most` rows; whether there is more to show at once."""
        answering = self._answering(now)
        if not answering:
            return False
        newest = max(stream.complete_until for stream in answering)
        complete = max(self.until, newest - SILENCE, min(stream.complete_until for stream in answering))
        until = self._affordable(complete, most)
        batch = [row for stream in self.streams.values() for row in stream.show_until(until)]
        for row in sorted(batch, key=_order):
            self._show(row)
        self.until = until
        self._tell_time()
        for stream in self.streams.values():
            stream.settle()
        return until < complete

    def _answering(self, now: float) -> list[Stream]:
        """The routers that answer; none while one has had no time to answer yet."""
        answering = []
        for pod, since in self.pods.items():
            stream = self.streams.get(pod)
            if stream is None or not stream.heard_at:
                if now - since <= PATIENCE:
                    return []
            elif now - stream.heard_at <= PATIENCE:
                answering.append(stream)
        return answering

    def _affordable(self, until: float, most: int) -> float:
        """The time up to which there are about `most` rows; each stream's come in the order of time."""
        soonest = (row for stream in self.streams.values() for row in islice(stream.waiting, most + 1))
        times = sorted(t for row in soonest if (t := number(row.get("t"))) <= until)
        return until if len(times) <= most else times[most]

    def _show(self, row: Row) -> None:
        self.judge.feed(whole(row, self.criteria))
        version, requests, saturated = row.get("version"), row.get("requests"), row.get("saturated", 0)
        if not isinstance(version, int) or not isinstance(requests, int) or not isinstance(saturated, int):
            return
        if version > self.epoch:
            self.epoch, self.requests = version, 0
        if version == self.epoch and row.get("arm") == "candidate":
            self.requests += requests
        self.recent.append((number(row.get("t")), requests, saturated))

    def _tell_time(self) -> None:
        """A router without requests is not one that is gone: tell the judge that its seconds have passed."""
        while self.recent and self.recent[0][0] < self.until - _RECENTLY:
            self.recent.popleft()
        second = math.floor(self.until)
        for stream in self.streams.values():
            last = stream.last
            if last is None or stream.complete_until < second:
                continue
            if self.judge.watermark.heard.get(last.router, second) < second:
                self.judge.feed(
                    {
                        "t": second,
                        "router": last.router,
                        "version": last.version,
                        "weight": last.weight,
                        "arm": "stable",
                        "requests": 0,
                    }
                )

    @property
    def has_begun(self) -> bool:
        """Whether anything was counted since the candidate was given a weight."""
        return self.judge.weight > 0.0 or self.judge.seen[1] > 0

    @property
    def saturated(self) -> bool:
        """Whether pods lately turned away a notable share of requests for want of capacity."""
        requests = sum(count for _, count, _ in self.recent)
        away = sum(count for _, _, count in self.recent)
        return away >= _NOTABLE_COUNT and away > _NOTABLE_SHARE * requests

    def decision(self) -> tuple[Decision, Reason]:
        """The judge's word as of now, without its figures."""
        decision, reason, _ = self.judge.decide(self.until)
        return decision, reason

    def unreachable(self, now: float) -> tuple[str, ...]:
        """Router pods that have not answered lately."""
        heard = {pod: stream.heard_at for pod, stream in self.streams.items()}
        return tuple(pod for pod in sorted(self.pods) if now - heard.get(pod, 0.0) > PATIENCE)


def whole(row: Row, criteria: Criteria) -> dict[str, Any]:
    """A ledger's row with its zeros: one of an older router leaves them out, and to the judge a missing count is unknown."""
    slow = {rail.name: 0 for rail in criteria.guardrails if rail.metric == "slow"}
    told = row.get("slow")
    return {"failed": 0, "refused": 0, **row, "slow": slow | (told if isinstance(told, dict) else {})}


def _order(row: Row) -> tuple[float, str, str]:
    return number(row.get("t")), str(row.get("router", "")), str(row.get("arm", ""))
