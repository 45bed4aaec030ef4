"""Turns what pydantic reports into problems a person can act on."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from penstock.api.errors import Problem, shown

Location = tuple[int | str, ...]


def problems_of(
    error: ValidationError, model: type[BaseModel], passing_over: Callable[[str, Location], bool] = lambda *_: False
) -> tuple[Problem, ...]:
    """Every problem in the order of the manifest, one line each.

    `model` is the one that was validated; `passing_over` gets pydantic's type of error and its location, and says
    which to leave out.
    """
    found = [
        details for details in error.errors(include_url=False) if not passing_over(details["type"], details["loc"])
    ]
    return tuple(
        problem
        for details in found
        if not _is_short_by_other_faults(details, found)
        for problem in _problems(details, model)
    )


def _is_short_by_other_faults(details: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """Whether a list is too short only because its entries are wrong, which is reported on its own."""
    within = details["loc"]
    return details["type"] == "too_short" and any(o["loc"][: len(within)] == within and o is not details for o in found)


def path_of(location: Location) -> str:
    """`("spec", "steps", 1, "weight")` as `spec.steps[1].weight`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _problems(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Problem]:
    location = details["loc"]
    if details["type"] != "penstock_rule":
        yield Problem(path_of(location), _says(details, model))
        return
    for line in details["msg"].split("\n"):
        field, _, message = line.partition("\t")
        yield Problem(path_of((*location, *filter(None, [field]))), message)


def _says(details: ErrorDetails, model: type[BaseModel]) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is required: add it"
        case "extra_forbidden":
            return _unknown_field(str(details["loc"][-1]), _fields_at(model, details["loc"][:-1]))
        case "enum" | "literal_error":
            return f"must be {context['expected']}, not {shown(details['input'])}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {shown(details['input'])}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {shown(details['input'])}"
        case "too_short":
            return f"needs at least {context['min_length']} entry: add one, or leave the field out for its default"
        case "too_long":
            return f"has {context['actual_length']} entries, at most {context['max_length']} are allowed: remove some"
        case "string_too_short":
            return "must not be empty: write a value, or leave the field out"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters: shorten it"
        case "string_type":
            return f"must be a string: put {shown(details['input'])} in quotes"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number, not {shown(details['input'])}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false, not {shown(details['input'])}"
        case "tuple_type" | "list_type":
            return f"must be a list, not {shown(details['input'])}: begin each entry with a dash"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"must be a mapping of fields, not {shown(details['input'])}"
        case _:
            return details["msg"]


def _unknown_field(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"unknown field: did you mean {near[0]}?"
    return f"unknown field: remove it (known here: {', '.join(known)})"


def _fields_at(model: type[BaseModel], location: Location) -> tuple[str, ...]:
    here: Any = model
    for part in location:
        here = _model_in(here)
        if isinstance(part, str) and here is not None:
            here = next((f.annotation for f in here.model_fields.values() if f.alias == part), None)
    found = _model_in(here)
    return () if found is None else tuple(field.alias or name for name, field in found.model_fields.items())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None
