"""What all parts of a manifest have in common: frozen models in camelCase that carry their own rules."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a schema cannot say, in two languages.

    The API server evaluates `cel` on the object (`self`), Python evaluates `holds` on the model; both refuse with
    `message`, which says what is wrong and what to write instead. `field` is the camelCase field below the object that
    is to blame ("" blames the object).
    """

    name: str
    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""


class Part(BaseModel):
    """A frozen piece of an object: camelCase outside, snake_case inside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    atomic: ClassVar[bool] = False
    """Whether server-side apply replaces the object as a whole, because its fields mean something only together."""
    immutable: ClassVar[str] = ""
    """Why the object never changes once written, and what to do instead; empty when it may change."""

    @model_validator(mode="after")
    def obey_rules(self) -> Self:
        """Raise one error that lists every broken rule, a line each."""
        broken = [rule for rule in self.rules if not rule.holds(self)]
        if broken:
            says = "\n".join(f"{rule.field}\t{rule.message}" for rule in broken)
            raise PydanticCustomError("penstock_rule", "{says}", {"says": says})
        return self


@dataclass(frozen=True, slots=True)
class ListMap:
    """Marks a list as a map: several writers may each own entries, and a key occurs once."""

    key: str

    def __call__(self, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        """The entries as they are; raises PydanticCustomError when a key occurs twice."""
        keys = [getattr(entry, self.key) for entry in entries]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            says = f"the {self.key} {repeated[0]} occurs twice: rename or remove one"
            raise PydanticCustomError("penstock_form", "{says}", {"says": says})
        return entries


MAP_BY_NAME = AfterValidator(ListMap("name"))
BY_TYPE = AfterValidator(ListMap("type"))


@dataclass(frozen=True, slots=True)
class Stored:
    """Marks a default that the API server writes into the object, because others read it there (an autoscaler).

    All other defaults are filled in on reading: a stored one would outlive its reason when a neighbour field changes.
    """


Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
"""A whole number that JSON carries exactly."""

ObservedGeneration = Annotated[int, Field(strict=True, ge=-1, le=2**53), Stored()]
"""The generation of an object that a status is about. The API server stores -1 with a new object: without it kstatus
takes an object that nobody has looked at yet for one that is as wanted."""


def _in_seconds(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Instant = Annotated[datetime, PlainSerializer(_in_seconds, return_type=str, when_used="json")]
"""A point in time, written as RFC 3339 in whole seconds of UTC."""


def clip(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, an ellipsis marking what was cut: a long message must not void a whole status."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - 3].decode(errors="ignore") + "…"


Message = Annotated[str, BeforeValidator(lambda text: clip(text, 512)), Field(max_length=512)]
"""A sentence for people, cut at 512 bytes."""
Note = Annotated[str, BeforeValidator(lambda text: clip(text, 160)), Field(max_length=160)]
"""A short sentence for people, cut at 160 bytes."""
