"""How a column stands in the DataFrame that a model was fitted on: what its datatype alone does not say.

A column has one dtype, whatever the rows of a request hold: what the dtype cannot hold is refused, so that no row changes
what the model sees of its neighbours.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penstock_serving.model.datatype import Datatype

MAX_LEVELS = 10_000
TEXT_DTYPES = ("str", "string", "object")
CATEGORY_DTYPE = "category"
_INTEGER = re.compile(r"(u?int|UInt|Int)(8|16|32|64)")
_NUMBER = re.compile(r"(?:u?int|UInt|Int)(?:8|16|32|64)|[fF]loat(?:32|64)|bool(?:ean)?")
_TIME = re.compile(r"datetime64\[(s|ms|us|ns)(, [A-Za-z0-9+:_/-]{1,64})?\]")
_DAY, _CLOCK = r"[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[T ][0-9]{2}:[0-9]{2}"
_FRACTIONS = {"s": "", "ms": r"(\.[0-9]{1,3})?", "us": r"(\.[0-9]{1,6})?", "ns": r"(\.[0-9]{1,9})?"}
_NANOSECOND_YEARS = range(1678, 2262)
_EXACT = 2.0**53 - 1


class Asked(StrEnum):
    """How a model is asked: by a matrix, as it was fitted on one; by the DataFrame that it was fitted on; or by a matrix in
    the place of that, its columns chosen by position."""

    MATRIX = "matrix"
    FRAME = "frame"
    POSITIONS = "positions"


class Missing(StrEnum):
    """What stands in a column of objects where a text is missing; encoders tell the two apart."""

    NAN = "nan"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Series:
    """A column's dtype by its name in pandas; of a category the levels in their order, and whether that order counts; of a
    column of objects what its missing texts are."""

    dtype: str
    levels: tuple[str, ...] = ()
    ordered: bool = False
    missing: Missing = Missing.NAN

    @property
    def is_time(self) -> bool:
        """Whether its values are times, which travel as ISO 8601 text."""
        return self.dtype.startswith("datetime64")

    @property
    def is_text(self) -> bool:
        """Whether its values travel as text: texts, categories and times."""
        return self.is_time or self.dtype in {*TEXT_DTYPES, CATEGORY_DTYPE}

    @property
    def datatype(self) -> Datatype:
        """The datatype in which its values travel."""
        if self.is_text:
            return Datatype.BYTES
        if self.dtype in {"bool", "boolean"}:
            return Datatype.BOOL
        if _INTEGER.fullmatch(self.dtype):
            return Datatype.INT64
        return Datatype.FP32 if self.dtype.endswith("32") else Datatype.FP64

    @property
    def holds_missing(self) -> bool:
        """Whether the dtype has a missing value."""
        return self.is_text or "loat" in self.dtype or self.dtype == "boolean" or self.dtype[0].isupper()

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the greatest integer that the dtype holds and that float64 tells from its neighbours."""
        found = _INTEGER.fullmatch(self.dtype)
        if found is None:
            return None
        unsigned, values = found[1].lower().startswith("u"), 2.0 ** int(found[2])
        low, high = (0.0, values - 1) if unsigned else (-values / 2, values / 2 - 1)
        return max(low, -_EXACT), min(high, _EXACT)

    @property
    def has_zone(self) -> bool:
        """Whether its times are of a time zone."""
        return "," in self.dtype

    @property
    def unit(self) -> str:
        """The unit of its times."""
        found = _TIME.fullmatch(self.dtype)
        return found[1] if found else ""

    @property
    def time_form(self) -> str:
        """How a time is written for this column."""
        example = "2026-01-31T12:00:00Z" if self.has_zone else "2026-01-31T12:00:00"
        return (
            f"ISO 8601 {'with' if self.has_zone else 'without'} an offset and no finer than {self.unit}, as {example}"
        )

    @property
    def time_pattern(self) -> str:
        """A regular expression that every time of this column fulfils."""
        clock = rf"{_CLOCK}(:[0-9]{{2}}{_FRACTIONS[self.unit]})?"
        return rf"^{_DAY}{clock}(Z|[+-][0-9]{{2}}:[0-9]{{2}})$" if self.has_zone else rf"^{_DAY}({clock})?$"

    def holds_time(self, text: str) -> bool:
        """Whether a text is a time that the column can hold: ISO 8601, with an offset exactly where it has a zone."""
        if text.endswith("\n") or re.match(self.time_pattern, text) is None:
            return False
        try:
            year = datetime.fromisoformat(text).year
        except ValueError:
            return False
        return year in _NANOSECOND_YEARS if self.unit == "ns" else 1 < year < 9999


def is_dtype(name: str) -> bool:
    """Whether columns of this dtype can be served."""
    text = name in TEXT_DTYPES or name == CATEGORY_DTYPE
    return text or bool(_NUMBER.fullmatch(name) or _TIME.fullmatch(name))
