"""The scalars of a manifest: durations, shares, decimals.

Each is a string that keeps what the user wrote and knows its value, so a manifest survives a round trip unchanged and
JSON floats (which an API server stores as 1 when Git says 1.0) never occur.
"""

import re
from datetime import timedelta
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")


class Scalar(str):
    """A string of one fixed form; a refusal says which form, by example."""

    __slots__ = ()
    pattern: ClassVar[str]
    max_length: ClassVar[int]
    form: ClassVar[str]
    """The sentence a refusal ends with; the custom resource definitions print the same one."""

    def __new__(cls, text: str) -> Self:
        """Raises ValueError when the text has another form."""
        if len(text) > cls.max_length or re.fullmatch(cls.pattern, text) is None:
            raise ValueError(f"{text!r} does not fit: {cls.form}")
        return super().__new__(cls, text)

    @classmethod
    def from_yaml(cls, value: object) -> Self:
        """Read what a YAML or JSON parser gives; raises PydanticCustomError naming the form."""
        if isinstance(value, str):
            try:
                return cls(value)
            except ValueError as error:
                raise PydanticCustomError("penstock_form", "{says}", {"says": str(error)}) from None
        raise PydanticCustomError("penstock_form", "{says}", {"says": f"{value!r} is no string: {cls.form}"})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.from_yaml,
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )


class Duration(Scalar):
    """A length of time such as 50ms, 90s, 1h30m or 7d."""

    __slots__ = ()
    pattern = r"^([0-9]+(ms|s|m|h|d))+$"
    max_length = 20
    form = "a duration is written like 50ms, 90s, 1h30m or 7d"

    @property
    def milliseconds(self) -> int:
        """The length in whole milliseconds."""
        return sum(int(count) * _UNITS_MS[unit] for count, unit in _DURATION_PART.findall(self))

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.milliseconds / 1_000

    @property
    def timedelta(self) -> timedelta:
        """The length as the standard library has it."""
        return timedelta(milliseconds=self.milliseconds)


class Share(Scalar):
    """A part of a whole, in percent, such as 1% or 0.5%."""

    __slots__ = ()
    pattern = r"^[0-9]{1,3}(\.[0-9]{1,6})?%$"
    max_length = 11
    form = 'a share is written as a percentage, like "1%" or "0.5%"'

    @property
    def fraction(self) -> float:
        """The share as a number between 0 and 1 (1% is 0.01)."""
        return float(self[:-1]) / 100


class ShareOrAuto(Share):
    """A share, or `auto`: let the judge choose."""

    __slots__ = ()
    pattern = r"^([0-9]{1,3}(\.[0-9]{1,6})?%|auto)$"
    form = 'it is a percentage, like "1%" or "0.5%", or auto'

    @property
    def is_auto(self) -> bool:
        """Whether the choice is left to the judge."""
        return self == "auto"

    @property
    def fraction(self) -> float:
        """The share as a number between 0 and 1; raises ValueError for `auto`."""
        if self.is_auto:
            raise ValueError("auto is no number until the judge has chosen one")
        return super().fraction


class Ratio(Scalar):
    """A quotient of two rates, such as "1.5"; a bare whole number is taken too."""

    __slots__ = ()
    pattern = r"^[0-9]+\.?[0-9]*$"
    max_length = 8
    form = 'a ratio is a whole number or a quoted decimal, like 2 or "1.5"'

    @property
    def value(self) -> float:
        """The quotient itself."""
        return float(self)

    @classmethod
    def from_yaml(cls, value: object) -> Self:
        """Read a string, a whole number, or (from files only: an API server refuses floats) a plain decimal."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return super().from_yaml(repr(value))
        return super().from_yaml(value)
