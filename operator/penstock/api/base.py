"""What all parts of a manifest have in common: frozen models in camelCase that carry their own rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
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
    """A frozen piece of a manifest: camelCase outside, snake_case inside, unknown fields refused."""

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

    @model_validator(mode="after")
    def obey_rules(self) -> Self:
        """Raise one error that lists every broken rule, a line each."""
        broken = [rule for rule in self.rules if not rule.holds(self)]
        if broken:
            says = "\n".join(f"{rule.field}\t{rule.message}" for rule in broken)
            raise PydanticCustomError("penstock_rule", "{says}", {"says": says})
        return self


def _names_differ(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [part.name for part in parts]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        says = f"the name {repeated[0]} occurs twice: rename or remove one"
        raise PydanticCustomError("penstock_form", "{says}", {"says": says})
    return parts


MAP_BY_NAME = AfterValidator(_names_differ)
"""Marks a list as a map keyed by `name`: several writers may each own entries, and a name occurs once."""
