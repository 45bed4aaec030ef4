"""What a plan tells. All times are seconds, all rates and shares parts of 1, all counts requests."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Spread:
    """How a quantity varies from release to release: the values that 10, 50 and 95 of 100 releases do not exceed.

    `high` is None where fewer than 95 of 100 end as told before the deadline.
    """

    low: float
    median: float
    high: float | None


class Cause(StrEnum):
    """What a step waits for last."""

    MIN_REQUESTS = "MinRequests"
    PAUSE = "Pause"
    SIGNS_OF_HARM = "SignsOfHarm"
    EXPOSURE = "Exposure"
    EVIDENCE = "Evidence"


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One weight of the rollout, for a candidate as good as stable.

    Args:
        weight: the candidate's share of requests.
        cause: what most releases waited for last here; None when the deadline comes first.
        min_requests: requests of the candidate wanted here.
        named: whether the manifest names that number, else it is the judge's least.
        pause: seconds to wait here.
        begins, ends: seconds into the release, medians; None where the deadline comes first.
        requests: the candidate's here, median; None where the deadline comes first.
    """

    weight: float
    cause: Cause | None
    min_requests: int
    named: bool
    pause: float
    begins: float | None
    ends: float | None
    requests: float | None


@dataclass(frozen=True, slots=True)
class PromotionFacts:
    """When a candidate as good as stable is promoted.

    Args:
        share: part of the releases that are promoted before the deadline.
        seconds: into the release; None when fewer than half are promoted.
        requests: of both arms; None likewise.
        simulated: number of releases that these figures come from.
    """

    share: float
    seconds: Spread | None
    requests: Spread | None
    simulated: int


class Outlook(StrEnum):
    """What becomes of a regression."""

    FOUND = "Found"
    """Rolled back before the deadline in at least 95 of 100 releases."""
    UNCERTAIN = "Uncertain"
    """Rolled back in fewer; nearly all others are still undecided at the deadline."""
    TOLERATED = "Tolerated"
    """Not harm by this manifest: such a candidate is promoted, or undecided at the deadline."""


@dataclass(frozen=True, slots=True)
class RegressionFacts:
    """A candidate that is worse on one guardrail (or on any one of several that are alike).

    Args:
        label: how it is called, such as `10 %` or `2×`.
        rate: the candidate's rate.
        outlook: what becomes of it.
        rolled_back, promoted: parts of the releases that end so before the deadline.
        seconds: into the release until the verdict that is due, a rollback or, for what is tolerated, the promotion; None
            where fewer than half get it.
        requests: the candidate's until then; None likewise.
        failures: the candidate's answers that counted against it until then, median; None likewise.
        simulated: number of releases.
    """

    label: str
    rate: float
    outlook: Outlook
    rolled_back: float
    promoted: float
    seconds: Spread | None
    requests: Spread | None
    failures: float | None
    simulated: int


class Shield(StrEnum):
    """What callers get instead of an answer that counts against the candidate."""

    REPEATED = "RepeatedOnStable"
    OFF = "Off"
    SLOW = "NotForSlowAnswers"


@dataclass(frozen=True, slots=True)
class GuardrailFacts:
    """Guardrails that are alike, and the regressions that each of them would find or miss.

    Args:
        names: of the guardrails.
        base: stable's rate.
        ratio, points: the tolerance; `auto` says that the points were chosen by the judge.
        tolerated: highest rate that is no harm.
        regressions: those of the report.
        curve: more sizes of regression, for charts.
    """

    names: tuple[str, ...]
    base: float
    ratio: float
    points: float
    auto: bool
    tolerated: float
    shield: Shield
    regressions: tuple[RegressionFacts, ...]
    curve: tuple[RegressionFacts, ...]


@dataclass(frozen=True, slots=True)
class PointsFacts:
    """One choice of `tolerate.points`, were it that of every guardrail.

    `decidable`: at least 95 of 100 releases of a candidate as good as stable are promoted before the deadline.
    """

    points: float
    decidable: bool
    promotion: PromotionFacts


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that the manifest will not achieve; `remedies` are alternatives, each of which was tried."""

    says: str
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """A year of releases like this one; `false_rollbacks` is the most to expect."""

    models: int
    releases: float
    false_rollbacks: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a plan tells about one ModelDeployment."""

    name: str
    traffic: float
    routers: int
    deadline: float
    false_rollback: float
    missed_regression: float
    steps: tuple[StepFacts, ...]
    promotion: PromotionFacts
    guardrails: tuple[GuardrailFacts, ...]
    points: tuple[PointsFacts, ...]
    auto: float
    cautions: tuple[Caution, ...]
    fleet: FleetFacts | None
