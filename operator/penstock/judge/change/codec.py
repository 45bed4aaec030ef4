"""A watch or a guard's state as text and back, bit for bit, so that a restart resumes where it was.

JSON with a version; dataclasses are lists of their fields in order, so the text stays small. Floats keep all their bits
(shortest representation that reads back equal).
"""

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from penstock.judge.change import detector
from penstock.judge.change.shared import SharedHarm
from penstock.judge.change.watch import Watch

VERSION = 1

State = TypeVar("State", Watch, SharedHarm)


def dumps(state: Watch | SharedHarm) -> str:
    """The state as one line of JSON."""
    return json.dumps([VERSION, _plain(state)], separators=(",", ":"), allow_nan=False)


def loads(kind: type[State], text: str) -> State:
    """The state of this kind that `dumps` wrote. Raises ValueError for text of another version or shape."""
    try:
        version, plain = json.loads(text)
        state = _typed(kind, plain) if version == VERSION else None
    except (TypeError, ValueError) as error:
        raise ValueError(f"not the state of a {kind.__name__} ({error}); start a new one") from error
    if not isinstance(state, kind):
        raise ValueError(f"a {kind.__name__} in version {version}, this code reads {VERSION}; start a new one")
    return state


def _plain(value: object) -> object:
    if isinstance(value, detector.Evidence):
        return value.values.tolist()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in fields(value)]
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _typed(kind: Any, plain: Any) -> Any:
    if kind is detector.Evidence:
        return detector.Evidence(np.array(plain, dtype=np.float64))
    if isinstance(kind, UnionType):
        inner = next(part for part in get_args(kind) if part is not NoneType)
        return None if plain is None else _typed(inner, plain)
    if get_origin(kind) is tuple:
        return tuple(_typed(get_args(kind)[0], item) for item in plain)
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        kinds = get_type_hints(kind).values()
        return kind(*(_typed(part, item) for part, item in zip(kinds, plain, strict=True)))
    return kind(plain)
