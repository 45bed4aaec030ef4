"""What the explaining process is told when it starts."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import orjson

from penstock_serving.explain.frames import BrokenFrameError
from penstock_serving.explain.limits import Limits, Priority
from penstock_serving.model import signature_json
from penstock_serving.model.signature import Signature

_SIZES = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Package:
    """Where a package is, and its pinned digest: for models that are explained by asking them."""

    directory: str
    digest: str


@dataclass(frozen=True, slots=True)
class Setup:
    """The model's name, the parameters of every v2 answer, signature, exported arrays, and its package where it must be
    asked."""

    name: str
    parameters: Mapping[str, str]
    signature: Signature
    data: bytes
    package: Package | None


def write(setup: Setup, limits: Limits) -> bytes:
    """A setup and limits as bytes."""
    package = setup.package and [setup.package.directory, setup.package.digest]
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    head = orjson.dumps([setup.name, dict(setup.parameters), package, values])
    signature = signature_json.dump(setup.signature)
    return _SIZES.pack(len(head), len(signature)) + head + signature + setup.data


def read(content: bytes) -> tuple[Setup, Limits]:
    """The setup and limits that were written; raises `BrokenFrameError`, and `BadModelError` for the signature."""
    try:
        first, second = _SIZES.unpack_from(content)
        start = _SIZES.size + first
        name, parameters, package, values = orjson.loads(content[_SIZES.size : start])
        limits = Limits(**{**values, "priority": Priority(values["priority"])})
    except (struct.error, LookupError, TypeError, ValueError) as error:
        raise BrokenFrameError("a message holds no setup") from error
    signature = signature_json.load(content[start : start + second])
    return Setup(name, parameters, signature, content[start + second :], _package(package)), limits


def _package(value: Any) -> Package | None:
    return None if value is None else Package(*value)
