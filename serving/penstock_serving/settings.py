"""Reading the environment: every process is configured by the variables that the contract names."""

import math
import os
from pathlib import Path

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError


def text(name: str, default: str | None = None) -> str:
    """The variable's value; raises `BadModelError` (Misconfigured) when it is absent and has no default."""
    value = os.environ.get(name) or default
    if value is None:
        raise BadModelError(contract.REASON_MISCONFIGURED, f"the environment variable {name} is not set")
    return value


def path(name: str, default: str) -> Path:
    """The variable's value as a path."""
    return Path(text(name, default))


def integer(name: str, default: int, least: int, most: int) -> int:
    """The variable's value as an integer within [least, most]; else raises `BadModelError` (Misconfigured)."""
    value = text(name, str(default))
    if not value.isascii() or not value.isdecimal() or not least <= int(value) <= most:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"{name}={value[:40]!r} is no whole number from {least} to {most}"
        )
    return int(value)


def seconds(name: str, default: float, most: float) -> float:
    """The variable's value as a positive number of seconds; else raises `BadModelError` (Misconfigured)."""
    value = text(name, str(default))
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"{name}={value[:40]!r} is no number of seconds above 0 and up to {most}"
        )
    return number


def termination_log() -> Path:
    """Where the container's last words go."""
    return path(contract.ENV_TERMINATION_LOG, contract.TERMINATION_LOG)
