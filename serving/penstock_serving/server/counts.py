"""What a worker has counted, as plain numbers that can be added to another's and carried from one to another."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from penstock_serving.server.work import Work


@dataclass(slots=True)
class Counts:
    """Totals since the start. `answers` by route and code; `buckets` by route, not cumulative; `refused` by rule.

    `replaced` counts workers that died; it is not added up, as the first process alone counts them. `startup` holds the
    seconds of each phase of the start; of several workers, the slowest one's.
    """

    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    buckets: dict[str, list[int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    startup: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    saturated: int = 0
    in_flight: int = 0
    sent: int = 0
    dropped: int = 0
    replaced: int = 0
    work: Work = field(default_factory=Work)

    def add(self, other: "Counts") -> None:
        """Add another's."""
        for route, codes in other.answers.items():
            mine = self.answers.setdefault(route, {})
            for code, count in codes.items():
                mine[code] = mine.get(code, 0) + count
        for route, counts in other.buckets.items():
            have = self.buckets.get(route, [0] * len(counts))
            self.buckets[route] = [a + b for a, b in zip(have, counts, strict=True)]
        for route, seconds in other.seconds.items():
            self.seconds[route] = self.seconds.get(route, 0.0) + seconds
        for rule, count in other.refused.items():
            self.refused[rule] = self.refused.get(rule, 0) + count
        for phase, seconds in other.startup.items():
            self.startup[phase] = max(self.startup.get(phase, 0.0), seconds)
        self.rows += other.rows
        self.saturated += other.saturated
        self.in_flight += other.in_flight
        self.sent += other.sent
        self.dropped += other.dropped
        self.work.add(other.work)

    def pack(self) -> bytes:
        """As bytes, for `unpack`."""
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS)


def total(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    found = Counts()
    for one in counts:
        found.add(one)
    return found


def unpack(content: bytes) -> Counts:
    """What was packed."""
    document = orjson.loads(content)
    work = document.pop("work")
    calls = Counter({int(rows): count for rows, count in work.pop("calls").items()})
    seconds = {int(rows): spent for rows, spent in work.pop("call_seconds").items()}
    return Counts(**document, work=Work(**work, calls=calls, call_seconds=seconds))
