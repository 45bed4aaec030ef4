"""The structural OpenAPI schema of a model: types, bounds, descriptions, and its rules in CEL."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from inspect import cleandoc
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from penstock.api.base import ListMap, Part, Stored
from penstock.api.scalars import Scalar

Schema = dict[str, Any]

_Keywords = Mapping[type, tuple[str, str]]

_BOUNDS_OF_INTEGER: _Keywords = {Ge: ("minimum", "ge"), Le: ("maximum", "le")}
_BOUNDS_OF_STRING: _Keywords = {MinLen: ("minLength", "min_length"), MaxLen: ("maxLength", "max_length")}
_BOUNDS_OF_ARRAY: _Keywords = {MinLen: ("minItems", "min_length"), MaxLen: ("maxItems", "max_length")}
_BOUNDS_OF_OBJECT: _Keywords = {MinLen: ("minProperties", "min_length"), MaxLen: ("maxProperties", "max_length")}
_NOT_STRUCTURAL = ("api_version", "kind", "metadata")


def object_schema(model: type[Part]) -> Schema:
    """The schema of a model; fields that every object has (apiVersion, kind, metadata) are left out."""
    fields = {name: field for name, field in model.model_fields.items() if name not in _NOT_STRUCTURAL}
    schema: Schema = {
        "type": "object",
        "description": _prose(model.__doc__),
        "properties": {field.alias: _field(field) for field in fields.values()},
    }
    required = [field.alias for field in fields.values() if field.is_required()]
    rules = _rules(model)
    return {
        **schema,
        **({"required": required} if required else {}),
        **({"x-kubernetes-map-type": "atomic"} if model.atomic else {}),
        **({"x-kubernetes-validations": rules} if rules else {}),
    }


def _field(field: FieldInfo) -> Schema:
    schema = _schema(field.annotation, field.metadata)
    described = _prose(field.description) or schema.get("description", "")
    default = _default(field)
    if default is not None:
        described = f"{described} Left out: {_said(default)}.".strip()
    stored: Schema = {"default": default} if any(isinstance(mark, Stored) for mark in field.metadata) else {}
    if _holds_stored(field.annotation):
        stored = {"default": {}}
    return {"description": described, **{k: v for k, v in schema.items() if k != "description"}, **stored}


def _default(field: FieldInfo) -> str | int | bool | None:
    """The default of a scalar field, as JSON has it; None where there is none, or where it needs more than a word."""
    default = field.default
    if default is PydanticUndefined or not isinstance(default, str | int) or default == "":
        return None
    return str(default) if isinstance(default, str) else default


def _said(default: str | int | bool) -> str:  # noqa: FBT001
    return str(default).lower() if isinstance(default, bool) else str(default)


def _holds_stored(annotation: Any) -> bool:
    """Whether an object has a default that the API server stores; it is applied only where the object is there."""
    if not (isinstance(annotation, type) and issubclass(annotation, Part)):
        return False
    return any(isinstance(mark, Stored) for field in annotation.model_fields.values() for mark in field.metadata)


def _schema(annotation: Any, marks: Iterable[Any]) -> Schema:
    marks = tuple(marks)
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _schema(inner, (*_flat(more), *marks))
    if origin in (Union, UnionType):
        (inner,) = (each for each in get_args(annotation) if each is not type(None))
        return _schema(inner, marks)
    if origin is tuple:
        return {"type": "array", **_bounds(_BOUNDS_OF_ARRAY, marks), **_list_type(marks), "items": _items(annotation)}
    if origin is not None and issubclass(origin, Mapping):
        values = _schema(get_args(annotation)[1], ())
        return {"type": "object", **_bounds(_BOUNDS_OF_OBJECT, marks), "additionalProperties": values}
    return _plain(annotation, marks)


def _plain(kind: type, marks: tuple[Any, ...]) -> Schema:
    if issubclass(kind, Part):
        return object_schema(kind)
    if issubclass(kind, Scalar):
        return _scalar(kind)
    if issubclass(kind, StrEnum):
        return {"type": "string", "enum": [member.value for member in kind]}
    if issubclass(kind, bool):
        return {"type": "boolean"}
    if issubclass(kind, int):
        return {"type": "integer", "format": "int64", **_bounds(_BOUNDS_OF_INTEGER, marks)}
    if issubclass(kind, datetime):
        return {"type": "string", "format": "date-time"}
    if issubclass(kind, str):
        patterns = [mark.pattern for mark in marks if getattr(mark, "pattern", None)]
        return {"type": "string", **_bounds(_BOUNDS_OF_STRING, marks), **({"pattern": patterns[0]} if patterns else {})}
    raise TypeError(f"{kind} has no form in a custom resource definition")


def _scalar(kind: type[Scalar]) -> Schema:
    validations = [{"rule": rule, "message": kind.form} for rule in kind.rules()]
    if kind.or_number:
        return {
            "x-kubernetes-int-or-string": True,
            "maxLength": kind.max_length,
            "x-kubernetes-validations": validations,
        }
    return {"type": "string", "maxLength": kind.max_length, "x-kubernetes-validations": validations}


def _items(annotation: Any) -> Schema:
    return _schema(get_args(annotation)[0], ())


def _list_type(marks: Iterable[Any]) -> Schema:
    keys = [mark.func.key for mark in marks if isinstance(mark, AfterValidator) and isinstance(mark.func, ListMap)]
    if not keys:
        return {"x-kubernetes-list-type": "atomic"}
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}


def _bounds(kinds: _Keywords, marks: Iterable[Any]) -> Schema:
    found = {}
    for mark in marks:
        if type(mark) in kinds:
            keyword, attribute = kinds[type(mark)]
            found[keyword] = getattr(mark, attribute)
    return found


def _flat(marks: Iterable[Any]) -> Iterable[Any]:
    for mark in marks:
        yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)


def _rules(model: type[Part]) -> list[Schema]:
    rules = [
        {"rule": rule.cel, "message": rule.message, **({"fieldPath": f".{rule.field}"} if rule.field else {})}
        for rule in model.rules
    ]
    if model.immutable:
        rules.append({"rule": "self == oldSelf", "message": model.immutable})
    return rules


def _prose(text: str | None) -> str:
    return " ".join(cleandoc(text or "").split())
