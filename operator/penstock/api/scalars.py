"""Strings of one fixed form: durations, shares, ratios, sizes, quantities.

Each keeps what the user wrote and knows its value, so a manifest survives a round trip unchanged, and JSON floats (an
API server stores 1 where Git says 1.0) never occur.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from penstock.api.errors import shown

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_QUANTITY = re.compile(r"\+?([0-9.]+)(?:([numkKMGTPE]?i?)|[eE]([+-]?[0-9]+))")
_SUFFIX = {
    "": Decimal(1),
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", start=1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


class Scalar(str):
    """A string of one fixed form; a refusal says which form, by example."""

    __slots__ = ()
    pattern: ClassVar[str]
    """Regular expression of the form, in the syntax that Python and RE2 share."""
    max_length: ClassVar[int]
    form: ClassVar[str]
    """What the form is, by example: a refusal ends with it, here and at the API server."""
    or_number: ClassVar[bool] = False
    """Whether a bare whole number is taken as well."""

    def __new__(cls, text: str) -> Self:
        """Raises ValueError when the text has another form."""
        if len(text) > cls.max_length or re.fullmatch(cls.pattern, text) is None:
            raise ValueError(f"{shown(text)} does not fit: {cls.form}")
        return super().__new__(cls, text)

    @classmethod
    def cel(cls, subject: str = "self") -> str:
        """A CEL expression that is true when the subject has this form."""
        return f"{subject}.matches(r'{cls.pattern}')"

    @classmethod
    def rules(cls) -> tuple[str, ...]:
        """CEL expressions on `self` that are all true when it is in order; `form` says what is wrong otherwise."""
        return (cls.cel(),)

    @classmethod
    def from_yaml(cls, value: object) -> Self:
        """Read what a YAML or JSON parser gives; raises PydanticCustomError naming the form.

        Where a whole number is taken, so is a decimal: in a file it is no less clear, though an API server refuses it.
        """
        number = cls.or_number and isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(value, str) and not number:
            raise PydanticCustomError("penstock_form", "{says}", {"says": f"{shown(value)} is no string: {cls.form}"})
        try:
            return cls(str(value))
        except ValueError as error:
            raise PydanticCustomError("penstock_form", "{says}", {"says": str(error)}) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_text = core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema())
        return core_schema.no_info_plain_validator_function(cls.from_yaml, serialization=as_text)


class Duration(Scalar):
    """A length of time such as 50ms, 90s, 1h30m or 7d."""

    __slots__ = ()
    pattern = r"^\+?([0-9]+(ms|s|m|h|d))+$"
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


class Timeout(Duration):
    """A duration without days, so that CEL's duration() reads it too."""

    __slots__ = ()
    pattern = r"^\+?([0-9]+(ms|s|m|h))+$"
    form = "a timeout is written like 250ms, 1s or 2m"


class Share(Scalar):
    """A part of a whole, in percent, such as 1% or 0.5%."""

    __slots__ = ()
    pattern = r"^[0-9]{1,3}(\.[0-9]{1,6})?%$"
    max_length = 11
    form = "a share is a percentage, like 1% or 0.5%"

    @property
    def fraction(self) -> float:
        """The share as a number between 0 and 1 (1% is 0.01)."""
        return float(self[:-1]) / 100


class ShareOrAuto(Share):
    """A share, or `auto`: let the judge choose."""

    __slots__ = ()
    pattern = r"^([0-9]{1,3}(\.[0-9]{1,6})?%|auto)$"
    form = "points is a percentage, like 1% or 0.5%, or the word auto"

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


def share_within(subject: str, bounds: str) -> str:
    """A CEL expression: the subject is no share, which is refused on its own, or its percentage `v` is within bounds.

    `share_within("self.holdback", "v <= 50.0")`
    """
    percent = f"double({subject}.replace('%', ''))"
    return f"!{Share.cel(subject)} || ({re.sub('v', percent, bounds)})"


class Quantity(Scalar):
    """An amount as Kubernetes writes it: 500m, 2, 1.5Gi, 1e3; a bare whole number is taken too."""

    __slots__ = ()
    pattern = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$"
    max_length = 20
    form = "a quantity is written like 500m, 2 or 1.5Gi"
    or_number = True
    least: ClassVar[int] = 0
    """The smallest amount that is taken."""
    most: ClassVar[int | None] = None
    """The largest amount that is taken; None for any."""

    def __new__(cls, text: str) -> Self:
        """Raises ValueError when the text has another form or is out of range."""
        quantity = super().__new__(cls, text)
        if quantity.value < cls.least or (cls.most is not None and quantity.value > cls.most):
            raise ValueError(f"{shown(text)} is out of range: {cls.form}")
        return quantity

    @classmethod
    def rules(cls) -> tuple[str, ...]:
        """One CEL expression for the form and the smallest amount, one for the largest.

        They ask isQuantity rather than a pattern, and are two: of a value that may be a number, API servers before 1.34
        take the length to be that of a whole request, and refuse rules that would be too costly then.
        """
        least = f"isQuantity(self) && quantity(self).compareTo(quantity('{cls.least}')) >= 0"
        most = f"!isQuantity(self) || quantity(self).compareTo(quantity('{cls.most}')) <= 0"
        return (
            f"type(self) == int ? self >= {cls.least} : {least}",
            *((f"type(self) == int ? self <= {cls.most} : {most}",) if cls.most is not None else ()),
        )

    @property
    def value(self) -> Decimal:
        """The amount, in cores, bytes or pieces."""
        matched = _QUANTITY.fullmatch(self)
        assert matched is not None
        number, suffix, exponent = matched.groups()
        return Decimal(number) * (_SUFFIX[suffix] if exponent is None else Decimal(10) ** int(exponent))


class Ratio(Quantity):
    """A quotient of two rates, 1 to 100, such as "1.5"; a bare whole number is taken too."""

    __slots__ = ()
    form = 'a ratio is a whole number or a quoted decimal from 1 to 100, like 2 or "1.5"'
    least = 1
    most = 100


class Size(Quantity):
    """A number of bytes such as 512Ki or 1Mi."""

    __slots__ = ()
    pattern = r"^[0-9]+(Ki|Mi|Gi)$"
    max_length = 12
    form = "a size is written like 512Ki or 1Mi"
    or_number = False

    @classmethod
    def rules(cls) -> tuple[str, ...]:
        """The form alone: a size is always a string."""
        return (cls.cel(),)

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return int(self.value)
