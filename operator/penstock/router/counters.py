"""Envoy's counters read as tallies: pure text and arithmetic.

Every request is counted once: by its first try, when that try ends, or, where no pod could be tried at all, by the end
of the request. Both happen in one increment that already holds everything (arm, epoch, code,
how it broke, how long it took), so outcomes of one request can never fall into two reads.
"""

import re
from dataclasses import dataclass

from penstock.router.envoy.bands import Band, read_band
from penstock.router.envoy.listeners import END, SCOPE, TRY
from penstock.router.grpc_status import Meaning, meaning
from penstock.router.plan import RouterState, Scope
from penstock.router.routing import Dialect, Role
from penstock.router.tally import NAMES, Tally

NO_POD = frozenset({"UH", "NC", "NR"})
"""Envoy's response flags for: no healthy host, no cluster, no route."""
_BENIGN = frozenset({"", "-", "UT", "URX"})
_TOO_LATE = "UT"
_CALLER_LEFT = frozenset({"DC", "DR"})
_ONLY_RETRIES_SPENT = frozenset({"URX", "UT", "-", ""})

_HEAD = rf"{SCOPE}\.(?P<model>[^.]+)\.(?P<generation>\d+)\.(?P<kind>{TRY}|{END})"
_WHOSE = r"\.slot\.(?P<role>[cs])(?P<slot>\d+)(?P<hedged>h?)\.attempt\.(?P<attempt>[^.]*)"
_NAME = re.compile(
    _HEAD + _WHOSE + r"(?:\.shield\.(?P<shield>[^.]*))?\.code\.(?P<code>\d+)\.flags\.(?P<flags>[^.]*)"
    r"(?:\.refused\.(?P<refused>.?)\.saturated\.(?P<saturated>.?))?\.grpc\.(?P<grpc>-?\d*)"
    r"(?:\.band\.(?P<band>[-0-9]+))?"
)
_PREFIX = f"{SCOPE}."


@dataclass(frozen=True, slots=True)
class Key:
    """One arm of one epoch in one life of a model's counters."""

    model: str
    generation: int
    slot: int
    role: Role


@dataclass(frozen=True, slots=True)
class Answer:
    """How one try, or the end of one request, is described in a counter's name. `hedged`: when the try ended, a later one
    may have begun, whose number is then told."""

    attempt: str
    hedged: bool
    by_shield: bool
    code: int
    flags: frozenset[str]
    refused: bool
    saturated: bool
    grpc: int | None
    band: Band | None


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What one counter's name says: whose it is, and the tally of one of its events."""

    key: Key
    each: Tally


class CounterReader:
    """Follows Envoy's counters from read to read; each changed counter costs one addition, unchanged ones a look-up."""

    def __init__(self) -> None:
        self._meanings: dict[str, _Meaning] = {}
        self._counts: dict[str, int] = {}
        self.tallies: dict[Key, Tally] = {}
        """All tallies since this Envoy started."""
        self.unread = 0
        """Counters of no scope known here, at the last read."""

    def read(self, text: str, state: RouterState) -> None:
        """Take in the answer of Envoy's `/stats`."""
        counts: dict[str, int] = {}
        self.unread = 0
        for line in text.splitlines():
            name, colon, number = line.rpartition(": ")
            if not colon or not name.startswith(_PREFIX) or not number.isdecimal():
                continue
            meaning = self._meaning(name, state)
            if meaning is None:
                self.unread += 1
                continue
            counts[name] = int(number)
            grown = counts[name] - self._counts.get(name, 0)
            if grown > 0:
                self.tallies[meaning.key] = self.tallies.get(meaning.key, Tally()).plus(_times(meaning.each, grown))
        self._counts = counts
        self._forget(state)

    def _meaning(self, name: str, state: RouterState) -> _Meaning | None:
        if name not in self._meanings:
            meaning = _read_name(name, state)
            if meaning is None:
                return None
            self._meanings[name] = meaning
        return self._meanings[name]

    def _forget(self, state: RouterState) -> None:
        """Drop what belongs to scopes that are over: no counter of theirs can come back."""
        over = {key for key in self.tallies if state.scope(key.model, key.generation) is None}
        for key in over:
            del self.tallies[key]
        if over:
            self._meanings = {n: m for n, m in self._meanings.items() if m.key not in over}


def _read_name(name: str, state: RouterState) -> _Meaning | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    key = Key(match["model"], int(match["generation"]), int(match["slot"]), _ROLES[match["role"]])
    scope = state.scope(key.model, key.generation)
    return None if scope is None else _Meaning(key, _tally(match["kind"], _answer(match), scope))


def first_try(answer: Answer, scope: Scope) -> Tally:
    """The tally of one request by its first try."""
    outcome = _outcome(answer, scope)
    tally = Tally.of(int(name in ("requests", outcome)) for name in NAMES)
    band = answer.band or Band(0, None)
    slow = tuple(int(tally.failed > 0 or band.low >= threshold.milliseconds) for threshold in scope.thresholds)
    return Tally.of((*tally.numbers(), *slow))


def _outcome(answer: Answer, scope: Scope) -> str:
    """Which of a tally's outcomes; an empty text when the request went well."""
    late = _TOO_LATE in answer.flags or (answer.band is not None and answer.band.low >= scope.try_timeout)
    if answer.by_shield or answer.flags & NO_POD:
        return "unavailable"
    if answer.flags - _BENIGN:
        return "resets"
    if late:
        return "timeouts"
    if answer.code == 0:
        return "cancelled"
    if _is_saturated(answer, scope):
        return "saturated"
    if _is_error(answer, scope):
        return "errors"
    return "refused" if _is_refused(answer, scope) else ""


def _is_error(answer: Answer, scope: Scope) -> bool:
    return answer.code >= 500 or meaning(answer.grpc, scope.dialect) is Meaning.FAILED


def _is_saturated(answer: Answer, scope: Scope) -> bool:
    marked = scope.dialect is Dialect.MARKED and answer.saturated
    return marked or answer.code == 429 or meaning(answer.grpc, scope.dialect) is Meaning.SATURATED


def _is_refused(answer: Answer, scope: Scope) -> bool:
    if scope.dialect is Dialect.MARKED:
        return answer.refused
    return answer.code in (400, 422) or meaning(answer.grpc, scope.dialect) is Meaning.REFUSED


def _tally(kind: str, answer: Answer, scope: Scope) -> Tally:
    first = answer.attempt in ("", "1")
    if kind == TRY:
        return first_try(answer, scope) if first or (answer.hedged and not answer.by_shield) else Tally(repeats=1)
    felt = Tally(felt=int(_is_felt(answer, scope)))
    return felt.plus(first_try(answer, scope)) if first and answer.flags & NO_POD else felt


def _is_felt(answer: Answer, scope: Scope) -> bool:
    """Whether the caller was still there and got a 5xx or its like in gRPC, a broken answer, or none."""
    if answer.flags & _CALLER_LEFT:
        return False
    failed = answer.code == 0 or _is_error(answer, scope)
    return failed or bool(answer.flags - _ONLY_RETRIES_SPENT)


def _answer(match: re.Match[str]) -> Answer:
    return Answer(
        attempt=match["attempt"],
        hedged=bool(match["hedged"]),
        by_shield=bool(match["shield"]),
        code=int(match["code"]),
        flags=frozenset(match["flags"].split(",")),
        refused=bool(match["refused"]),
        saturated=bool(match["saturated"]),
        grpc=int(match["grpc"]) if match["grpc"] else None,
        band=read_band(match["band"]) if match["band"] else None,
    )


def _times(tally: Tally, count: int) -> Tally:
    return Tally.of(count * number for number in tally.numbers())


_ROLES = {role.value[0]: role for role in Role}
