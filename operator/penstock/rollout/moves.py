"""What a release does next."""

from dataclasses import dataclass
from datetime import datetime

from penstock.api.phases import Phase
from penstock.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing moves. `until` is when time alone may change that, None when only events can."""

    phase: Phase
    reason: Reason
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The next step begins: `weight` percent of the traffic, from now on."""

    step: int
    weight: int


@dataclass(frozen=True, slots=True)
class Promote:
    """The candidate becomes the stable revision and gets all traffic."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The candidate gets no more traffic and stays rejected until a person retries it."""

    reason: Reason
    message: str


Move = Hold | Advance | Promote | TakeBack
