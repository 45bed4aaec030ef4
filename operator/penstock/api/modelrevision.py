"""`ModelRevision`: one distinct model and runtime, made by the operator as a ReplicaSet is by a Deployment.

What must survive lives here, outside of `status`, which backups leave out: what the revision is (`spec`, immutable) and
what became of it (`record`).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penstock.api.base import MAP_BY_NAME, Count, Instant, Message, Part
from penstock.api.guardrail import Guardrail
from penstock.api.metadata import ObjectMeta
from penstock.api.model import Access, ModelUri
from penstock.api.reasons import Reason
from penstock.api.references import Digest, ImageReference, Label
from penstock.api.rollout import Stickiness, Strategy
from penstock.api.runtime import Resources, Trust, Variable
from penstock.api.scalars import Share
from penstock.api.served import Served
from penstock.api.signing import SignedBy


class PinnedModel(Part):
    """The model of a revision, pinned to its content."""

    uri: ModelUri
    """Where the model is fetched from."""
    digest: Digest
    """Content the model must have."""
    signed_by: SignedBy | None = None
    """Who must have signed the model."""
    access: Access = Access()
    """With whose rights the model is read."""


class ModelRevisionSpec(Part):
    """What a revision is: all that its pods are rendered from. Never changes."""

    immutable: ClassVar[str] = "the spec of a ModelRevision never changes: change the ModelDeployment instead"

    deployment: Label
    """Name of the ModelDeployment that it belongs to."""
    model: PinnedModel
    """The model, pinned to its content."""
    image: ImageReference
    """Image of the model server and its helpers, defaults filled in: a newer operator changes no running pod."""
    env: Annotated[tuple[Variable, ...], Field(max_length=50), MAP_BY_NAME] = ()
    """Environment variables of the model server."""
    resources: Resources = Resources()
    """What a pod's model server asks for and may use at most."""
    trust: Trust = Trust()
    """What of the model is trusted beyond its digest."""
    template_version: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    """Version of the template that its pods are rendered with for life."""


class Role(StrEnum):
    """What a revision is to its deployment."""

    CANDIDATE = "Candidate"
    STABLE = "Stable"
    PREVIOUS = "Previous"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


class Terms(Part):
    """What a release is judged by, frozen when it starts."""

    false_rollback: Share
    """Highest probability that evidence takes back a candidate within tolerance."""
    missed_regression: Share
    """Highest probability that a candidate beyond tolerance is promoted."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1, max_length=10), MAP_BY_NAME]
    """What must not get worse."""
    strategy: Strategy = Strategy.CANARY
    """How it gets its traffic."""
    stickiness: Stickiness | None = None
    """What keeps a user on one side."""


class Release(Part):
    """The release of a revision that is under way, or was its last."""

    started_at: Instant
    """When it began."""
    epoch: Count
    """Epoch of the last weight set."""
    step: Count = 0
    """Index of the step under way, from 0."""
    step_since: Instant
    """When that step began."""
    weight: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    """Percent of the traffic last set."""
    terms: Terms
    """What it is judged by."""
    cursors: Annotated[Mapping[str, Annotated[str, Field(max_length=64)]], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Up to where each router's ledger has been judged, by boot id."""
    judge: Annotated[str, Field(max_length=65_536)] = ""
    """State of the judge, as it serialises itself."""


class Record(Part):
    """What became of a revision. Written by the operator alone."""

    role: Role = Role.CANDIDATE
    """What it is to its deployment."""
    reason: Reason | None = None
    """Why it has this role."""
    message: Message = ""
    """Why it has this role, in a sentence."""
    since: Instant | None = None
    """When it got this role."""
    retried_at: Instant | None = None
    """Time of the last retry that was asked for and done."""
    promoted_at: Instant | None = None
    """When it was last promoted."""
    served: Served | None = None
    """How it is served, as its newest ready pod says. Left out: no pod has said so."""
    release: Release | None = None
    """Its release."""


class ModelRevision(Part):
    """One distinct model and runtime of a ModelDeployment. Made and kept by the operator; read it, do not edit it."""

    api_version: Literal["penstock.dev/v1alpha1"]
    kind: Literal["ModelRevision"]
    metadata: ObjectMeta
    spec: ModelRevisionSpec
    """What the revision is. Never changes."""
    record: Record = Record()
    """What became of it."""
