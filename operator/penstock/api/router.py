"""`Router`: the pods that split a namespace's traffic. Made by the operator when a namespace has none."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penstock.api.base import BY_TYPE, MAP_BY_NAME, Count, Message, Note, ObservedGeneration, Part, Rule, Stored
from penstock.api.conditions import Condition
from penstock.api.metadata import ObjectMeta
from penstock.api.names import DEFAULT_ROUTER, MAX_ROUTER_REPLICAS
from penstock.api.references import ImageReference, Label
from penstock.api.runtime import Placement, Resources


class RouterSpec(Part):
    """How the router pods run."""

    replicas: Annotated[int, Field(strict=True, ge=1, le=MAX_ROUTER_REPLICAS), Stored()] = 2
    """Router pods. All models of the namespace share them."""
    image: ImageReference | None = None
    """Image with Envoy. Left out: the one that Penstock ships."""
    resources: Resources = Resources()
    """What a pod's Envoy asks for and may use at most."""
    pod_template: Placement = Placement()
    """Where the pods run and how their images are pulled."""


class UnrenderedModel(Part):
    """A model whose wanted routes could not be made; it keeps its last good ones."""

    name: Label
    """Name of the ModelDeployment."""
    message: Note
    """Why, and what to do."""


class RouterStatus(Part):
    """What the router does. Written by the operator alone."""

    observed_generation: ObservedGeneration = -1
    """Generation of the spec that this status is about. -1 until the operator has looked."""
    message: Message = ""
    """How the router stands, in a sentence."""
    replicas: Count = 0
    """Router pods."""
    ready_replicas: Count = 0
    """Router pods that serve a complete configuration."""
    models: Count = 0
    """Models that it routes."""
    unrendered: Annotated[tuple[UnrenderedModel, ...], Field(max_length=20), MAP_BY_NAME] = ()
    """Models that keep their last good routes."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8), BY_TYPE] = ()
    """Ready; Reconciling and Stalled while they are True."""


class Router(Part):
    """The pods that split, shield and count a namespace's traffic. The one named default is made when it is absent and
    removed with the namespace's last model; write one to choose replicas, resources and placement."""

    api_version: Literal["penstock.dev/v1alpha1"]
    kind: Literal["Router"]
    metadata: ObjectMeta
    spec: RouterSpec = RouterSpec()
    """How the router pods run."""
    status: RouterStatus = RouterStatus()
    """What the router does."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="router-named-default",
            cel=f"self.metadata.name == '{DEFAULT_ROUTER}'",
            message=(
                f"metadata.name must be {DEFAULT_ROUTER}: in this version all models of a namespace share one router"
            ),
            holds=lambda router: router.metadata.name == DEFAULT_ROUTER,
        ),
    )
