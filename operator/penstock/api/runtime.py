"""`spec.runtime`: what runs the model."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import MAP_BY_NAME, Part, Rule, Stored
from penstock.api.references import ImageReference, ObjectName, ObjectReference, PythonType, VariableName
from penstock.api.scalars import Quantity

MAX_REPLICAS = 1000
_Amounts = Annotated[Mapping[str, Quantity], Field(max_length=8)]
_Text = Annotated[str, Field(max_length=256)]


_COMPARED = ("cpu", "memory")


def _request_within_limit(resource: str) -> str:
    request, limit = f"string(self.requests['{resource}'])", f"string(self.limits['{resource}'])"
    return (
        f"(!has(self.requests) || !has(self.limits) || !('{resource}' in self.requests && '{resource}' in self.limits) "
        f"|| !isQuantity({request}) || !isQuantity({limit}) || quantity({request}).compareTo(quantity({limit})) <= 0)"
    )


class Variable(Part):
    """One environment variable of the model server."""

    name: VariableName
    """Name of the variable."""
    value: Annotated[str, Field(max_length=4096)] = ""
    """Its value. No secrets: whoever reads this object reads it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="variable-not-reserved",
            cel="!self.name.startsWith('PENSTOCK_')",
            message="names that begin with PENSTOCK_ are set by Penstock: choose another name",
            holds=lambda variable: not variable.name.startswith("PENSTOCK_"),
            field="name",
        ),
    )


class Resources(Part):
    """What a pod asks for and may use at most."""

    requests: _Amounts = Field(default_factory=dict)
    """What is set aside for the pod, by resource: {cpu: 500m, memory: 512Mi}."""
    limits: _Amounts = Field(default_factory=dict)
    """What the pod may use at most, by resource: {memory: 1Gi}."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="requests-within-limits",
            cel=" && ".join(_request_within_limit(resource) for resource in _COMPARED),
            message="a request is above its limit: lower the request or raise the limit",
            holds=lambda made: all(
                made.requests[resource].value <= made.limits[resource].value
                for resource in _COMPARED
                if resource in made.requests and resource in made.limits
            ),
            field="requests",
        ),
    )


class VersionMismatch(StrEnum):
    """What becomes of an estimator of another minor version of scikit-learn than the image's."""

    REFUSE = "Refuse"
    ALLOW = "Allow"


class Trust(Part):
    """What of a model is trusted beyond its digest. A model never says so itself."""

    skops_types: Annotated[tuple[PythonType, ...], Field(max_length=50)] = ()
    """Types that a skops file may hold beyond those that skops itself trusts, with their modules. Opening them runs
    their code."""
    scikit_learn_mismatch: VersionMismatch = VersionMismatch.REFUSE
    """Whether an estimator is served by another minor version of scikit-learn than the one that it was made with. It
    may answer differently. The compiled form of a model does not depend on it."""


class TolerationOperator(StrEnum):
    """How a taint's value is compared."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Part):
    """A taint of nodes that the pods bear."""

    key: _Text = ""
    """Key of the taint; empty with operator Exists bears every taint."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """How the taint's value is compared."""
    value: _Text = ""
    """Value of the taint, for operator Equal."""
    effect: TaintEffect | None = None
    """Effect of the taint; left out: every effect."""


class Placement(Part):
    """Where the pods run and how their images are pulled. Applies to pods made from now on."""

    node_selector: Annotated[Mapping[str, _Text], Field(max_length=20)] = Field(default_factory=dict)
    """Labels a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=20)] = ()
    """Taints of nodes that the pods bear."""
    priority_class_name: ObjectName | None = None
    """Priority class of the pods."""
    image_pull_secrets: Annotated[tuple[ObjectReference, ...], Field(max_length=10), MAP_BY_NAME] = ()
    """Secrets with which images are pulled."""


class Runtime(Part):
    """What runs the model."""

    replicas: Annotated[int, Field(strict=True, ge=1, le=MAX_REPLICAS), Stored()] = 2
    """Pods of the stable revision; candidate pods follow the weight. Leave it out of Git when an autoscaler owns it."""
    image: ImageReference | None = None
    """Image of the model server. Left out: the one that Penstock ships when the revision is made, kept for
    the revision's life."""
    env: Annotated[tuple[Variable, ...], Field(max_length=50), MAP_BY_NAME] = ()
    """Environment variables of the model server."""
    resources: Resources = Resources()
    """What a pod's model server asks for and may use at most."""
    trust: Trust = Trust()
    """What of a model is trusted beyond its digest."""
    pod_template: Placement = Placement()
    """Where the pods run and how their images are pulled. Applies to pods made from now on."""
