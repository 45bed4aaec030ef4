"""What the deployer trusts: read from the deployer's environment alone, never from what is deployed."""

import re
from dataclasses import dataclass
from enum import StrEnum

from penstock_serving import contract, settings
from penstock_serving.model.errors import BadModelError

_TYPE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


class Mismatch(StrEnum):
    """What to do with an estimator of another minor version of scikit-learn."""

    REFUSE = "refuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Trust:
    """Types that a skops file may hold beyond those that skops itself trusts, as `module.Class`; the rule for versions."""

    skops_types: tuple[str, ...] = ()
    mismatch: Mismatch = Mismatch.REFUSE


NOTHING_MORE = Trust()
"""What is trusted where nothing else is said."""


def skops_types(text: str) -> tuple[str, ...]:
    """Read a list of types, separated by commas or white space; raises `BadModelError` (Misconfigured)."""
    types = tuple(text.replace(",", " ").split())
    for name in types:
        if not _TYPE.fullmatch(name):
            raise BadModelError(
                contract.REASON_MISCONFIGURED,
                f"{contract.ENV_SKOPS_TRUSTED}: {name[:80]!r} is no type; write module.Class, separated by commas",
            )
    return types


def from_environment() -> Trust:
    """What the environment says; raises `BadModelError` (Misconfigured) naming the variable."""
    mismatch = settings.text(contract.ENV_SCIKIT_LEARN_MISMATCH, Mismatch.REFUSE)
    if mismatch not in set(Mismatch):
        raise BadModelError(
            contract.REASON_MISCONFIGURED,
            f"{contract.ENV_SCIKIT_LEARN_MISMATCH}={mismatch[:40]!r} is neither {' nor '.join(Mismatch)}",
        )
    return Trust(skops_types(settings.text(contract.ENV_SKOPS_TRUSTED, " ")), Mismatch(mismatch))
