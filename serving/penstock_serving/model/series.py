"""How a column stands in the DataFrame that a model was fitted on: what its datatype alone does not say."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_LEVELS = 10_000
TEXT_DTYPES = ("str", "string", "object")
CATEGORY_DTYPE = "category"
_NUMBER = re.compile(r"(u?int|UInt|Int)(8|16|32|64)|[fF]loat(32|64)|bool(ean)?")
_TIME = re.compile(r"datetime64\[(s|ms|us|ns)(, [A-Za-z0-9+:_/-]{1,64})?\]")
_CLOCK = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_WITHOUT_OFFSET = rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|{_CLOCK})$"
_WITH_OFFSET = rf"^{_CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})$"
_NANOSECOND_YEARS = range(1678, 2262)


class Missing(StrEnum):
    """What stands in a column of objects where a text is missing; encoders tell the two apart."""

    NAN = "nan"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Series:
    """A column's dtype by its name in pandas, the levels of a category in their order, and its missing texts."""

    dtype: str
    levels: tuple[str, ...] = ()
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
    def has_zone(self) -> bool:
        """Whether its times are of a time zone."""
        return "," in self.dtype

    @property
    def time_form(self) -> str:
        """How a time is written for this column."""
        example = "2026-01-31T12:00:00Z" if self.has_zone else "2026-01-31T12:00:00"
        return f"ISO 8601 {'with' if self.has_zone else 'without'} an offset, as {example}"

    @property
    def time_pattern(self) -> str:
        """A regular expression that every time of this column fulfils."""
        return _WITH_OFFSET if self.has_zone else _WITHOUT_OFFSET

    def holds_time(self, text: str) -> bool:
        """Whether a text is a time that the column can hold: ISO 8601, with an offset exactly where it has a zone."""
        if text.endswith("\n") or re.match(self.time_pattern, text) is None:
            return False
        try:
            year = datetime.fromisoformat(text).year
        except ValueError:
            return False
        return year in _NANOSECOND_YEARS or "[ns" not in self.dtype


def is_dtype(name: str) -> bool:
    """Whether columns of this dtype can be served."""
    text = name in TEXT_DTYPES or name == CATEGORY_DTYPE
    return text or bool(_NUMBER.fullmatch(name) or _TIME.fullmatch(name))
