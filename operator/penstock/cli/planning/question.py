"""What a plan is asked for: traffic, stable's error rates, the fleet; and how they are written on the command line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "hour": 3_600.0, "d": 86_400.0, "day": 86_400.0}
_TRAFFIC = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(k|M)?\s*/\s*([a-z]+)\s*", re.ASCII)
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", re.ASCII)
_MULTIPLES = {None: 1.0, "k": 1e3, "M": 1e6}

LEAST_TRAFFIC, MOST_TRAFFIC = 1.0 / 86_400.0, 1e7


class BadQuestionError(ValueError):
    """A part of the command line that cannot be used; the message names it and what to write instead."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """How often releases like this one happen: `models` of them, `releases` a year each."""

    models: int
    releases: float


@dataclass(frozen=True, slots=True)
class Question:
    """What to plan for.

    Args:
        traffic: requests per second of both arms together.
        base: stable's rate of each guardrail, by name, 0 to below 1.
        routers: replicas of the router.
        fleet: for the expected number of false rollbacks a year; None when it was not asked.
    """

    traffic: float
    base: Mapping[str, float]
    routers: int = 2
    fleet: Fleet | None = None


def parse_traffic(text: str) -> float:
    """Requests per second from `50/s`, `1200/min`, `3/h`, `2.5k/s`.

    Raises:
        BadQuestionError: when it has another form, or is no traffic to plan with.
    """
    found = _TRAFFIC.fullmatch(text)
    if found is None:
        raise BadQuestionError(f"{text!r} is no traffic: write requests per time, like 50/s, 1200/min or 3/h")
    number, multiple, unit = found.groups()
    if unit not in _UNITS:
        raise BadQuestionError(f"{text!r} has no known unit of time: write /s, /min, /h or /d, like 50/s")
    traffic = float(number) * _MULTIPLES[multiple] / _UNITS[unit]
    if traffic < LEAST_TRAFFIC:
        raise BadQuestionError(f"{text!r} is too little: without a request a day nothing can be judged")
    if traffic > MOST_TRAFFIC:
        raise BadQuestionError(f"{text!r} is more than 10M/s: write the traffic of this one model, like 50/s")
    return traffic


def parse_base(text: str, guardrails: Iterable[str]) -> dict[str, float]:
    """Stable's rate per guardrail from `0.5%` (for all) or `failed=0.5%,refused=0.1%`.

    Raises:
        BadQuestionError: when a share has another form, or the names are not those of `guardrails`.
    """
    names = list(guardrails)
    if "=" not in text:
        return dict.fromkeys(names, _share(text))
    rates: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.partition("=")
        name = name.strip()
        if not equals:
            raise BadQuestionError(f"{part.strip()!r} has no guardrail: write name=share, like {names[0]}=0.5%")
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the manifest has {', '.join(names)}"
            raise BadQuestionError(f"{name!r} is no guardrail of this release: {hint}")
        if name in rates:
            raise BadQuestionError(f"{name!r} occurs twice: give one share")
        rates[name] = _share(share)
    missing = [name for name in names if name not in rates]
    if missing:
        raise BadQuestionError(f"no share for {missing[0]!r}: add {missing[0]}=…%, stable's rate of it")
    return {name: rates[name] for name in names}


def _share(text: str) -> float:
    found = _SHARE.fullmatch(text)
    if found is None:
        raise BadQuestionError(f"{text.strip()!r} is no share: write a percentage, like 0.5%")
    share = float(found.group(1)) / 100.0
    if share >= 1.0:
        raise BadQuestionError(f"{text.strip()!r} is not below 100%: write stable's rate, like 0.5%")
    return share


def parse_count(text: str, most: int) -> int:
    """A whole number from 1 to `most`.

    Raises:
        BadQuestionError: otherwise.
    """
    if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise BadQuestionError(f"{text!r} does not fit: write a whole number from 1 to {most:,}".replace(",", " "))
    return int(text)


def parse_releases(text: str) -> float:
    """Releases a year, above 0 and up to a million; `0.5` is one in two years.

    Raises:
        BadQuestionError: otherwise.
    """
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", text, re.ASCII) or not 0.0 < float(text) <= 1e6:
        raise BadQuestionError(f"{text!r} does not fit: write a number above 0 and up to 1000000, like 50")
    return float(text)
