"""What was wrong with the evidence: named, counted, and a reason to promote nothing for a while.

A fault of a known second is counted when that second closes, not when its row comes in, and once however often the row is
delivered until then: so the same rows in any order give the same verdicts.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.judge.rows import HARMLESS, Fault

LASTS = 60
"""Seconds for which a doubtful row withholds promotion."""

SHARE = 0.05
"""Promotion is withheld while more than this share of all rows was doubtful."""

MOST_AWAITING = 256
"""Faults that may await their second; beyond, the oldest do no longer, so that memory stays bounded."""


@dataclass(slots=True)
class Doubt:
    """Faults counted so far, (second, fault, row's digest) of open seconds, the newest doubtful second, all rows counted."""

    faults: dict[str, int] = field(default_factory=dict)
    awaiting: dict[tuple[int, str, str], None] = field(default_factory=dict)
    newest: int = -1
    rows: int = 0

    def refuse(self, fault: Fault, second: int) -> None:
        """Count a row that is not used, and say so from `second` on."""
        self.rows += 1
        self.note(fault, second)

    def refuse_later(self, fault: Fault, second: int, fields: Mapping[str, object]) -> None:
        """As `refuse`, once `second` has closed, for the row of these fields."""
        digest = hashlib.blake2b(repr(sorted(fields.items())).encode("utf-8", "replace"), digest_size=6).hexdigest()
        self.awaiting[second, str(fault), digest] = None
        if len(self.awaiting) > MOST_AWAITING:
            self.settle(min(self.awaiting)[0])

    def note(self, fault: Fault, second: int, count: int = 1) -> None:
        """Count a fault of `count` rows."""
        self.faults[fault] = self.faults.get(fault, 0) + count
        if fault not in HARMLESS:
            self.newest = max(self.newest, second)

    def settle(self, until: float) -> None:
        """Count what awaited the seconds up to `until`, which have closed."""
        for key in sorted(key for key in self.awaiting if key[0] <= until):
            del self.awaiting[key]
            self.refuse(Fault(key[1]), key[0])

    def named(self, t: float) -> tuple[tuple[str, int], ...]:
        """Every fault known at `t` with its count, by name."""
        counts = {str(name): count for name, count in self.faults.items()}
        for second, fault, _ in self.awaiting:
            if second <= t:
                counts[fault] = counts.get(fault, 0) + 1
        return tuple(sorted(counts.items()))

    def withholds(self, t: float, latest: int) -> bool:
        """Whether nothing may be promoted at `t`, with evidence up to the second `latest`."""
        lately = self.newest >= 0 and latest - self.newest <= LASTS
        return lately or _serious(self.faults.items()) > SHARE * self.rows or self._open(t)

    def _open(self, t: float) -> bool:
        return any(second <= t for second, _, _ in self.awaiting)


def _serious(faults: Iterable[tuple[str, int]]) -> int:
    return sum(count for fault, count in faults if fault not in HARMLESS)
