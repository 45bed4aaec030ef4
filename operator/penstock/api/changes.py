"""What a change of each field of a ModelDeployment's spec means for a release under way."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Change(StrEnum):
    """When a changed field takes effect."""

    NEW_REVISION = "new revision"
    """It makes another revision, which is released."""
    FROZEN = "frozen when a release starts"
    """A release under way goes on by the old value; the next one takes the new."""
    NOW = "applies now"
    """It takes effect at once, also in mid-release."""


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "model": Change.NEW_REVISION,
        "runtime.replicas": Change.NOW,
        "runtime.image": Change.NEW_REVISION,
        "runtime.env": Change.NEW_REVISION,
        "runtime.resources": Change.NEW_REVISION,
        "runtime.trust": Change.NEW_REVISION,
        "runtime.podTemplate": Change.NOW,
        "traffic": Change.NOW,
        "rollout.strategy": Change.FROZEN,
        "rollout.steps": Change.NOW,
        "rollout.falseRollback": Change.FROZEN,
        "rollout.missedRegression": Change.FROZEN,
        "rollout.guardrails": Change.FROZEN,
        "rollout.stickiness": Change.FROZEN,
        "rollout.watchFor": Change.NOW,
        "rollout.holdback": Change.NOW,
        "rollout.deadline": Change.NOW,
        "rollout.onDeadline": Change.NOW,
        "rollout.readyWhen": Change.NOW,
        "service": Change.NOW,
        "paused": Change.NOW,
    }
)
"""The class of each field below `spec`; a path stands for all that is below it. Of `rollout.steps`, steps already
passed have no effect any more; of `runtime.podTemplate`, pods already running keep their place."""
