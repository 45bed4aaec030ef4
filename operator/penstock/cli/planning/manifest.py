"""What a plan reads of a manifest: the rollout, the deployment's name, whether calls are repeated on stable."""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from penstock.api import BadManifestError, Problem, load_rollout
from penstock.api.rollout import Rollout, Strategy

KIND = "ModelDeployment"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The part of a ModelDeployment that decides how a release goes."""

    name: str
    rollout: Rollout
    idempotent: bool


def read(text: str) -> Manifest:
    """The manifest in a YAML text, which may still lack a model or a name.

    Raises:
        BadManifestError: when it cannot be used, its strategy compares nothing, or it assigns users.
    """
    rollout = load_rollout(text)
    if rollout.strategy is not Strategy.CANARY:
        says = f"{rollout.strategy} sends everything at once and compares nothing: set Canary to plan its steps"
        raise BadManifestError(Problem("spec.rollout.strategy", says))
    if rollout.stickiness is not None:
        says = (
            "a sticky release is judged by users, and how often each of them calls decides how it goes: leave stickiness "
            "out to plan the release by requests, which decides at least as soon"
        )
        raise BadManifestError(Problem("spec.rollout.stickiness", says))
    document = next(d for d in yaml.safe_load_all(text) if isinstance(d, Mapping) and d.get("kind") == KIND)
    traffic = _part(_part(document, "spec"), "traffic")
    name = _part(document, "metadata").get("name")
    return Manifest(str(name or "release"), rollout, traffic.get("idempotent") is not False)


def _part(document: Mapping[str, object], field: str) -> Mapping[str, object]:
    found = document.get(field)
    return found if isinstance(found, Mapping) else {}
