"""`status` of a ModelDeployment: a view for people and tools, rebuilt from revisions, Deployments and routers.

It stays below 16 KiB: lists and sentences are bounded, numbers that may be huge or fractional are strings.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from penstock.api.actions import Verb
from penstock.api.base import BY_TYPE, MAP_BY_NAME, Count, Instant, Message, Note, ObservedGeneration, Part
from penstock.api.conditions import Condition
from penstock.api.guardrail import Metric
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.references import Label
from penstock.api.served import Backend, Remark

MAX_STATUS_BYTES = 16 * 1024

RevisionName = Annotated[str, Field(max_length=63)]
Decimal = Annotated[str, Field(max_length=24, pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
"""A number as a string: JSON knows no infinity, and a stored 1.0 would come back as 1."""


class StableStatus(Part):
    """The revision that serves, and that the candidate is compared with."""

    revision: RevisionName
    """Name of the ModelRevision."""
    backend: Backend | None = None
    """What computes its answers: onnx, scikit-learn, or unknown. Its ModelRevision has the proof of the compiled form."""
    fallback_reason: Remark | None = None
    """Why that is not the compiled form, cut at 200 bytes; its ModelRevision has more."""


class CandidateStatus(Part):
    """The revision that is being released."""

    revision: RevisionName
    """Name of the ModelRevision."""
    backend: Backend | None = None
    """What computes its answers, as in stable. Left out until a pod of it is ready."""
    fallback_reason: Remark | None = None
    """Why that is not the compiled form, cut at 200 bytes; its ModelRevision has more."""
    weight: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    """Percent of the traffic that it gets."""
    step: Count = 0
    """Index of the step under way, from 0."""
    since: Instant
    """When this step began."""


class ArmCounts(Part):
    """What one side answered since the release began."""

    requests: Count
    """Requests (with stickiness: users) assigned to the side."""
    events: Count
    """Those among them that the guardrail counts."""


class EvidenceRow(Part):
    """What one guardrail has seen so far."""

    name: Label
    """Name of the guardrail."""
    metric: Metric
    """What it counts."""
    stable: ArmCounts
    """The stable side."""
    candidate: ArmCounts
    """The candidate's side."""
    log_evalue: Decimal
    """Evidence of harm: the natural logarithm of an e-value. At threshold the candidate is taken back."""
    threshold: Decimal
    """The line of logEvalue."""
    log_evalue_promotion: Decimal
    """Evidence that there is no harm; promotion needs it at thresholdPromotion for every guardrail."""
    threshold_promotion: Decimal
    """The line of logEvaluePromotion."""
    to_promotion: Count | None = None
    """Requests still needed if the candidate is as good as stable; left out where no number would do."""
    says: Note = ""
    """The verdict of this guardrail in a sentence."""


class Outcome(StrEnum):
    """How a release ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    RETURNED = "Returned"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    FAILED = "Failed"


class HistoryRow(Part):
    """One ended release."""

    revision: RevisionName
    """The candidate of that release."""
    outcome: Outcome
    """How it ended."""
    reason: Reason
    """Why it ended so."""
    started_at: Instant
    """When it began."""
    ended_at: Instant
    """When it ended."""


class ActionResult(StrEnum):
    """What became of an action."""

    DONE = "Done"
    IGNORED = "Ignored"


class LastAction(Part):
    """The last action that a person asked for by annotation."""

    verb: Verb
    """What was asked for: promote, abort or retry."""
    value: Annotated[str, Field(max_length=128)]
    """The annotation's value: the revision, for retry with its time."""
    result: ActionResult
    """Whether it was done or ignored."""
    at: Instant
    """When the operator acted on it."""
    message: Note = ""
    """Why it was ignored, or what was done."""


class ModelDeploymentStatus(Part):
    """Where the deployment stands. Written by the operator alone."""

    observed_generation: ObservedGeneration = -1
    """Generation of the spec that this status is about. -1 until the operator has looked: so nobody takes an object that
    it has not seen yet for one that is ready."""
    epoch: Count = 0
    """Rises with every change of weights; a router ignores a lower one."""
    phase: Phase | None = None
    """Where the deployment stands, in a word."""
    message: Message = ""
    """Where the deployment stands, in a sentence, and what to do next."""
    url: Annotated[str, Field(max_length=256)] = ""
    """Address at which callers reach the model inside the cluster."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8), BY_TYPE] = ()
    """Ready, Available and Released; Reconciling and Stalled while they are True."""
    replicas: Count = 0
    """Pods of the stable revision."""
    selector: Annotated[str, Field(max_length=256)] = ""
    """Label selector of the stable revision's pods, for autoscalers."""
    stable: StableStatus | None = None
    """The revision that serves."""
    candidate: CandidateStatus | None = None
    """The revision that is being released."""
    evidence: Annotated[tuple[EvidenceRow, ...], Field(max_length=10), MAP_BY_NAME] = ()
    """What each guardrail has seen, as of the last transition or minute."""
    history: Annotated[tuple[HistoryRow, ...], Field(max_length=20)] = ()
    """The last releases, the newest first."""
    last_action: LastAction | None = None
    """The last action that a person asked for by annotation."""
