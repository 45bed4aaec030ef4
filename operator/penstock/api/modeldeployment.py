"""`ModelDeployment`: what a person writes."""

import re
from typing import ClassVar, Literal

from pydantic import StrictBool

from penstock.api.base import Part, Rule
from penstock.api.metadata import ObjectMeta
from penstock.api.model import Model
from penstock.api.names import MAX_NAME
from penstock.api.references import Label
from penstock.api.rollout import Rollout
from penstock.api.runtime import Runtime
from penstock.api.service import Service
from penstock.api.status import ModelDeploymentStatus
from penstock.api.traffic import Traffic


def _names_a_service(name: str) -> bool:
    return len(name) <= MAX_NAME and re.fullmatch(Label.pattern, name) is not None


class ModelDeploymentSpec(Part):
    """What model to serve, with what, and how a new one gets its traffic."""

    model: Model
    """The model to serve. A change of it is a new revision, released as `rollout` says."""
    runtime: Runtime = Runtime()
    """What runs the model: replicas, image, resources, placement."""
    traffic: Traffic = Traffic()
    """How calls are routed: timeouts, the largest body, whether a call may be repeated."""
    rollout: Rollout = Rollout()
    """How a new revision gets its traffic, and what takes it back."""
    service: Service = Service()
    """The Service that callers use. It has the name of this object."""
    paused: StrictBool = False
    """Stops progress of a release at its present weight; rollback and repair go on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="stickiness-not-in-this-version",
            cel="!has(self.rollout) || !has(self.rollout.stickiness)",
            message=(
                "rollout.stickiness is not in this version: leave it out; every request is then assigned on its own, which "
                "needs the least traffic for a verdict"
            ),
            holds=lambda spec: spec.rollout.stickiness is None,
            field="rollout",
        ),
    )


class ModelDeployment(Part):
    """A model that is served, and released by evidence: a new revision gets a growing share of the traffic and is taken
    back by itself when it does worse than the stable one."""

    api_version: Literal["penstock.dev/v1alpha1"]
    kind: Literal["ModelDeployment"]
    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    """What model to serve, with what, and how a new one gets its traffic."""
    status: ModelDeploymentStatus = ModelDeploymentStatus()
    """Where the deployment stands."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="deployment-name",
            cel=f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches(r'{Label.pattern}')",
            message=(
                f"metadata.name becomes the name of a Service: choose at most {MAX_NAME} of a-z, 0-9 and -, "
                "beginning with a letter and ending with a letter or digit"
            ),
            holds=lambda made: _names_a_service(made.metadata.name),
        ),
    )
