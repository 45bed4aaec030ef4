"""What gRPC's statuses mean: the one table from which counts, Envoy's filter of bad ends and its repetitions are made.

What is not in it is a failure: also CANCELLED and ABORTED, which no model server has a reason to answer, and numbers that
gRPC does not know.
"""

from collections.abc import Mapping
from enum import Enum, auto

from penstock.router.routing import Dialect


class Meaning(Enum):
    """What the status of an answer says of the model server that gave it."""

    FINE = auto()
    """It answered, or the caller's own mistake was told: neither counted nor repeated."""
    REFUSED = auto()
    SATURATED = auto()
    FAILED = auto()


_OK = 0
_INVALID_ARGUMENT, _FAILED_PRECONDITION, _OUT_OF_RANGE = 3, 9, 11
_NOT_FOUND, _ALREADY_EXISTS, _PERMISSION_DENIED, _UNAUTHENTICATED = 5, 6, 7, 16
_RESOURCE_EXHAUSTED = 8
_UNIMPLEMENTED = 12

_INPUT = (_INVALID_ARGUMENT, _FAILED_PRECONDITION, _OUT_OF_RANGE)
_CALLERS = (_OK, _NOT_FOUND, _ALREADY_EXISTS, _PERMISSION_DENIED, _UNAUTHENTICATED)
_TABLE: Mapping[Dialect, Mapping[int, Meaning]] = {
    # Refused and too busy are what marks say. Without one, RESOURCE_EXHAUSTED is a message that is too large (413), and
    # UNIMPLEMENTED a method that the caller made up (404).
    Dialect.MARKED: dict.fromkeys((*_CALLERS, *_INPUT, _RESOURCE_EXHAUSTED, _UNIMPLEMENTED), Meaning.FINE),
    Dialect.PLAIN: {
        **dict.fromkeys(_CALLERS, Meaning.FINE),
        **dict.fromkeys(_INPUT, Meaning.REFUSED),
        _RESOURCE_EXHAUSTED: Meaning.SATURATED,
    },
}


def meaning(status: int | None, dialect: Dialect) -> Meaning:
    """The meaning of an answer's status; there is none in answers to REST."""
    return Meaning.FINE if status is None else _TABLE[dialect].get(status, Meaning.FAILED)


def fine(dialect: Dialect) -> tuple[int, ...]:
    """Every status after which stable is not asked."""
    return tuple(sorted(status for status, it in _TABLE[dialect].items() if it is Meaning.FINE))


def no_failures(dialect: Dialect) -> tuple[int, ...]:
    """Every status that is no failure."""
    return tuple(sorted(_TABLE[dialect]))
