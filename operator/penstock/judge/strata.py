"""From closed seconds to strata, the units of evidence.

A stratum belongs to one router and one confirmed configuration version: pooling routers, or straddling a change of weight,
would be Simpson's paradox. It closes at the first second at which its total requests reach `enough(weight)`. Totals only:
a rule that looked at one arm's count or at failures would tilt the test. What is half gathered when the version changes is
dropped, because whoever changed it may have looked. Source: reference review-ml finding 5.
"""

from dataclasses import dataclass, field

from penstock.judge.criteria import Arm
from penstock.judge.guardrail import Cell
from penstock.judge.rows import Fault
from penstock.judge.watermark import Second, version_number

LEAST = 10
"""Requests of the smallest stratum."""

MOST_ROUTERS = 64
"""Routers whose open strata are kept; one more displaces the one longest not heard, so that memory stays bounded."""

CANDIDATES = 2.0
"""Candidate requests that a stratum holds on average."""


def enough(weight: float) -> float:
    """Total requests at which a stratum closes: max(10, 2/weight).

    Smaller strata decide little sooner and lose evidence: a stratum in which one arm is empty by chance says nothing.
    """
    return max(float(LEAST), CANDIDATES / max(weight, 1e-4))


@dataclass(slots=True)
class Tally:
    """One guardrail's counts within an open stratum: requests and events, then users and harmed users."""

    stable: int = 0
    candidate: int = 0
    stable_events: int = 0
    candidate_events: int = 0

    def cell(self, weight: float) -> Cell:
        """The counts as a stratum at candidate share `weight`."""
        return Cell(weight, self.stable, self.candidate, self.stable_events, self.candidate_events)


@dataclass(slots=True)
class Open:
    """A stratum that is being gathered."""

    version: str
    weight: float | None = None
    requests: int = 0
    outages: frozenset[str] | None = None
    tallies: list[Tally] = field(default_factory=list)
    users: list[Tally] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stratum:
    """A closed stratum: when, whose, and one cell per guardrail, by requests and by users.

    `outages`: the pod outages that all candidate events came from; empty where some came from elsewhere or none came.
    `stable_pods`, `candidate_pods`: pods heard in its last second, 0 where unknown.
    """

    t: int
    router: str
    version: str
    weight: float
    requests: int
    cells: tuple[Cell, ...]
    user_cells: tuple[Cell, ...]
    outages: frozenset[str]
    stable_pods: int = 0
    candidate_pods: int = 0


@dataclass(slots=True)
class Strata:
    """Open strata by router, the last heard last, and the candidate share that each router's version has shown so far."""

    guardrails: int
    open: dict[str, Open] = field(default_factory=dict)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, second: Second) -> tuple[Stratum | None, Fault | None]:
        """Add a closed second; the stratum that it closes, if any, and whether the router started anew."""
        gathering = self.open.pop(second.router, None)
        fault = None
        if gathering is None or (gathering.version, gathering.weight) != (second.version, second.weight):
            if gathering is not None:
                self.shares.pop(second.router, None)
                if version_number(second.version) < version_number(gathering.version):
                    fault = Fault.RESET
            gathering = Open(
                second.version,
                second.weight,
                tallies=[Tally() for _ in range(self.guardrails)],
                users=[Tally() for _ in range(self.guardrails)],
            )
            while len(self.open) >= MOST_ROUTERS:
                self.shares.pop(next(iter(self.open)), None)
                del self.open[next(iter(self.open))]
        self.open[second.router] = gathering
        if all(second.spoilt):
            return None, fault
        candidate, seen = self.shares.get(second.router, (0, 0))
        weight = second.weight if second.weight is not None else (candidate + 1.0) / (seen + 2.0)
        _gather(gathering, second)
        if gathering.requests < enough(weight):
            return None, fault
        self.shares[second.router] = (
            candidate + gathering.tallies[0].candidate,
            seen + gathering.tallies[0].candidate + gathering.tallies[0].stable,
        )
        self.open[second.router] = Open(
            second.version,
            second.weight,
            tallies=[Tally() for _ in range(self.guardrails)],
            users=[Tally() for _ in range(self.guardrails)],
        )
        return _closed(gathering, second, weight), fault


def _gather(gathering: Open, second: Second) -> None:
    gathering.requests += second.stable.requests + second.candidate.requests
    for i, spoilt in enumerate(second.spoilt):
        if spoilt:
            continue
        tally = gathering.tallies[i]
        tally.stable += second.stable.requests
        tally.candidate += second.candidate.requests
        tally.stable_events += second.stable.events[i]
        tally.candidate_events += second.candidate.events[i]
        user = gathering.users[i]
        user.stable += second.stable.new_users
        user.candidate += second.candidate.new_users
        if second.stable.user_events:
            user.stable_events += second.stable.user_events[i]
        if second.candidate.user_events:
            user.candidate_events += second.candidate.user_events[i]
    if any(second.candidate.events):
        known = gathering.outages
        if known is None:
            gathering.outages = second.outages
        else:
            gathering.outages = known | second.outages if known and second.outages else frozenset()


def _closed(gathering: Open, second: Second, weight: float) -> Stratum:
    return Stratum(
        second.t,
        second.router,
        second.version,
        weight,
        gathering.requests,
        tuple(tally.cell(weight) for tally in gathering.tallies),
        tuple(tally.cell(weight) for tally in gathering.users),
        gathering.outages or frozenset(),
        len({name for arm, name, _, _ in second.pods if arm is Arm.STABLE}),
        len({name for arm, name, _, _ in second.pods if arm is Arm.CANDIDATE}),
    )
