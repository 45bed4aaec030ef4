"""Reading JSON that somebody else wrote: each value has a place, and a refusal names it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from penstock.router.errors import BadInputError

T = TypeVar("T")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_DURATIONS = re.compile(r"([0-9]+(ms|s|m|h|d))+")
_SIZE = re.compile(r"([0-9]+)(Ki|Mi|Gi)")
_SIZES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Value:
    """A JSON value and where it stands."""

    raw: object
    where: str

    def refuse(self, problem: str) -> BadInputError:
        """The refusal of this value."""
        return BadInputError(self.where, problem)

    def field(self, name: str) -> "Value":
        """The named member; absent members are refused when they are read, not here."""
        if not isinstance(self.raw, Mapping):
            raise self.refuse("must be an object")
        return Value(self.raw.get(name, _ABSENT), f"{self.where}.{name}" if self.where else name)

    @property
    def present(self) -> bool:
        """Whether it was written at all."""
        return self.raw is not _ABSENT and self.raw is not None

    def only(self, *names: str) -> None:
        """Refuse members of other names: a misspelt one must not pass as absent."""
        if not isinstance(self.raw, Mapping):
            raise self.refuse("must be an object")
        unknown = sorted(str(key) for key in self.raw if key not in names)
        if unknown:
            raise self.refuse(f"knows no {', '.join(unknown)}; it has {', '.join(names)}")

    def items(self) -> Iterator["Value"]:
        """The elements of an array."""
        if not isinstance(self.raw, list):
            raise self.refuse("must be an array")
        for index, raw in enumerate(self.raw):
            yield Value(raw, f"{self.where}[{index}]")

    def text(self, pattern: str, form: str) -> str:
        """A string of one form."""
        if not isinstance(self.raw, str) or re.fullmatch(pattern, self.raw) is None:
            raise self.refuse(f"must be {form}" if self.present else f"is missing; it is {form}")
        return self.raw

    def integer(self, low: int, high: int) -> int:
        """A whole number within bounds."""
        if not isinstance(self.raw, int) or isinstance(self.raw, bool) or not low <= self.raw <= high:
            what = f"a whole number from {low} to {high}"
            raise self.refuse(f"must be {what}" if self.present else f"is missing; it is {what}")
        return self.raw

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self.raw, bool):
            raise self.refuse("must be true or false")
        return self.raw

    def milliseconds(self) -> int:
        """A duration such as 250ms or 1m30s, longer than nothing and at most a day."""
        form = "a duration like 250ms, 1s or 2m, from 1ms to 1d"
        if not isinstance(self.raw, str) or _DURATIONS.fullmatch(self.raw) is None:
            raise self.refuse(f"must be {form}")
        total = sum(int(count) * _UNITS_MS[unit] for count, unit in _DURATION.findall(self.raw))
        if not 1 <= total <= _UNITS_MS["d"]:
            raise self.refuse(f"must be {form}")
        return total

    def bytes(self) -> int:
        """A size such as 512Ki or 1Mi."""
        match = _SIZE.fullmatch(self.raw) if isinstance(self.raw, str) else None
        if match is None:
            raise self.refuse("must be a size like 512Ki or 1Mi")
        return int(match[1]) * _SIZES[match[2]]

    def or_else(self, default: T, read: Callable[["Value"], T]) -> T:
        """What `read` makes of it, or the default when it was not written."""
        return read(self) if self.present else default
