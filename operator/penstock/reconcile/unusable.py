"""One pass over a ModelDeployment whose spec cannot be read."""

from collections.abc import Iterator

from pydantic import ValidationError

from penstock.api.base import clip
from penstock.api.conditions import ConditionStatus, ConditionType
from penstock.api.names import API_VERSION
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.rollout import ReadyWhen
from penstock.api.status import ModelDeploymentStatus
from penstock.reconcile.conditions import conditions_of
from penstock.reconcile.decide import whole_second
from penstock.reconcile.effects import Effect, Ref, Status
from penstock.reconcile.outlook import Outlook
from penstock.world import Unusable


def reconcile_unusable(unusable: Unusable) -> Iterator[Effect]:
    """Tell what is wrong with a spec that cannot be read; everything else stays as it is, so stable goes on serving."""
    metadata = unusable.metadata
    try:
        before = ModelDeploymentStatus.model_validate(unusable.status, by_alias=True, by_name=False, extra="ignore")
    except ValidationError:
        before = ModelDeploymentStatus()
    says = "; ".join(str(problem) for problem in unusable.problems)
    outlook = Outlook(Phase.REFUSED, Reason.INVALID_SPEC, says)
    kept = {it.type: (it.status is ConditionStatus.TRUE, it.reason, it.message) for it in before.conditions}
    status = before.model_copy(
        update={
            "observed_generation": metadata.generation,
            "phase": outlook.phase,
            "message": clip(says, 512),
            "conditions": conditions_of(
                outlook,
                ReadyWhen.RELEASED,
                kept.get(ConditionType.AVAILABLE, (False, Reason.INVALID_SPEC, says)),
                (False, Reason.INVALID_SPEC, says),
                metadata.generation,
                before.conditions,
                whole_second(unusable.now),
            ),
        }
    )
    if status != before:
        ref = Ref(API_VERSION, "ModelDeployment", metadata.namespace, metadata.name)
        yield Status(ref, metadata.uid, metadata.resource_version, status, status.epoch)
