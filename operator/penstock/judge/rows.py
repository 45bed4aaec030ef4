"""One row of the counters: what a router counted for one arm within one interval. Doubtful rows are named, not used.

A row is taken whole or not at all. What is wrong with it is a `Fault`; the judge then leaves out that second of that
router for both arms, because dropping one arm's row alone would tilt the comparison.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from penstock.judge.criteria import Arm, Criteria, Unit

ABSURD = 10**9
"""A count of this many in one interval is absurd: a thousand million requests in a second."""

LATEST = 1e11
"""A time beyond this many seconds is absurd (about 3,000 years)."""

MISSING = -1
"""Marks the count of a guardrail that a row does not carry."""

LONGEST_NAME = 128


class Fault(StrEnum):
    """What can be wrong with evidence. Named in verdicts; never turned into a number."""

    MALFORMED = "Malformed"
    NOT_A_NUMBER = "NotANumber"
    NEGATIVE = "Negative"
    NOT_WHOLE = "NotWhole"
    ABSURD = "Absurd"
    MISSING_COUNT = "MissingCount"
    CONFLICT = "ConflictingWeights"
    DUPLICATE = "Duplicate"
    LATE = "Late"
    RESET = "RouterReset"
    GAP = "Gap"
    CLOCK_SKEW = "ClockSkew"


HARMLESS = frozenset({Fault.DUPLICATE, Fault.RESET, Fault.GAP, Fault.CLOCK_SKEW})
"""Faults that leave the evidence whole; the others withhold a promotion for a while."""


@dataclass(frozen=True, slots=True)
class Users:
    """Users of one arm in a sticky release: first seen in the interval, and per guardrail first harmed in it."""

    new: int
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Counts of one interval alone, not running totals.

    `t` seconds; `weight` the candidate's share in force, 0 to 1, or None when unknown; `events` one count per guardrail,
    `MISSING` where the row has none (of users, for a guardrail that counts them); `pod` and `outage` name where they came
    from, when known.
    """

    t: float
    router: str
    version: str
    arm: Arm
    weight: float | None
    requests: int
    events: tuple[int, ...]
    users: Users | None = None
    pod: str = ""
    outage: str = ""


class Refused(ValueError):
    """A row that cannot be used: `fault` says why, the message which field."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


def parse(fields: Mapping[str, object], criteria: Criteria) -> Row:
    """A row from a decoded JSON object.

    Raises:
        Refused: with the fault and the field that is to blame.
    """
    arm = fields.get("arm")
    if arm not in ("stable", "candidate"):
        raise Refused(Fault.MALFORMED, 'arm must be "stable" or "candidate"')
    t = _number(fields, "t")
    if not 0.0 <= t <= LATEST:
        raise Refused(Fault.NEGATIVE if t < 0.0 else Fault.ABSURD, f"t is {t:g}")
    weight: float | None = None
    if fields.get("weight") is not None:
        percent = _number(fields, "weight")
        if not 0.0 <= percent <= 100.0:
            raise Refused(Fault.NEGATIVE if percent < 0.0 else Fault.ABSURD, f"weight is {percent:g}, not a percentage")
        weight = percent / 100.0
    requests = _count(fields, "requests")
    version = fields.get("version")
    told = fields.get("users")
    users = _users(told, criteria) if isinstance(told, Mapping) else None
    return Row(
        t,
        _name(fields, "router"),
        _version_of(weight) if version is None else _version(version),
        Arm(str(arm)),
        weight,
        requests,
        _of_unit(criteria, requests, _events(fields, criteria, requests, "requests"), users),
        users,
        _name(fields, "pod"),
        _name(fields, "outage"),
    )


def _of_unit(criteria: Criteria, requests: int, events: tuple[int, ...], users: Users | None) -> tuple[int, ...]:
    """`events` as they are, except for guardrails that count users: what the row does not tell of its users is missing."""
    harmed = users.events if users is not None else (0 if requests == 0 else MISSING,) * len(events)
    return tuple(
        (MISSING if of_users == MISSING else max(0, of_requests)) if guardrail.unit is Unit.USERS else of_requests
        for guardrail, of_requests, of_users in zip(criteria.guardrails, events, harmed, strict=True)
    )


def _users(fields: Mapping[str, object], criteria: Criteria) -> Users:
    new = _count(fields, "new")
    return Users(new, _events(fields, criteria, ABSURD, "users"))


def _events(fields: Mapping[str, object], criteria: Criteria, requests: int, of: str) -> tuple[int, ...]:
    counts = []
    slow = fields.get("slow")
    for guardrail in criteria.guardrails:
        if guardrail.metric == "slow":
            source, key = (slow if isinstance(slow, Mapping) else {}), guardrail.name
        else:
            source, key = fields, guardrail.metric
        if source.get(key) is None:
            counts.append(0 if requests == 0 else MISSING)
            continue
        count = _count(source, key)
        if count > requests:
            raise Refused(Fault.ABSURD, f"{key} counts {count} of {requests} {of}")
        counts.append(count)
    return tuple(counts)


def _number(fields: Mapping[str, object], key: str) -> float:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(Fault.MALFORMED if value is not None else Fault.MISSING_COUNT, f"{key} is not a number")
    try:
        number = float(value)
    except OverflowError:
        raise Refused(Fault.ABSURD, f"{key} is larger than any real count") from None
    if not math.isfinite(number):
        raise Refused(Fault.NOT_A_NUMBER, f"{key} is {number}")
    return number


def _count(fields: Mapping[str, object], key: str) -> int:
    value = fields.get(key)
    if type(value) is not int:
        number = _number(fields, key)
        if number != math.floor(number):
            raise Refused(
                Fault.NEGATIVE if number < 0.0 else Fault.NOT_WHOLE, f"{key} is {number:g}, not a whole count"
            )
        value = int(number)
    if value < 0:
        raise Refused(Fault.NEGATIVE, f"{key} is {value}")
    if value >= ABSURD:
        raise Refused(Fault.ABSURD, f"{key} is {value}")
    return value


def _version_of(weight: float | None) -> str:
    """Without a version the weight is taken for one: what changes it changes the weight."""
    return "" if weight is None else f"w{100.0 * weight:g}"


def router_of(fields: Mapping[str, object]) -> str | None:
    """The router that a row names, be the row usable or not; None where the name is none."""
    try:
        return _name(fields, "router")
    except Refused:
        return None


def _version(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Refused(Fault.MALFORMED, "version must be a whole number or a short text")
    if isinstance(value, int) and abs(value) > LATEST:
        raise Refused(Fault.ABSURD, "version is larger than any real one")
    return _text(str(value), "version")


def _name(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key, "")
    if value is None:
        return ""
    return _text(value, key)


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not encodes(value):
        raise Refused(Fault.MALFORMED, f"{key} must be a text of at most {LONGEST_NAME} characters")
    return value


def encodes(text: str) -> bool:
    """JSON can write half of a surrogate pair, which no file can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
