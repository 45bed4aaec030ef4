"""Conditions: what tools read.

Ready, Available and Released are always there; Reconciling and Stalled only while they are True.
"""

from enum import StrEnum

from penstock.api.base import Count, Instant, Message, Part
from penstock.api.reasons import Reason


class ConditionType(StrEnum):
    """What a condition is about."""

    READY = "Ready"
    """The spec is what serves, and nothing is under way (see rollout.readyWhen)."""
    RECONCILING = "Reconciling"
    """Something is under way."""
    STALLED = "Stalled"
    """Nothing will change without a person."""
    AVAILABLE = "Available"
    """The stable revision serves."""
    RELEASED = "Released"
    """The wanted revision is the stable one."""


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Part):
    """One condition, in the form that all of Kubernetes uses."""

    type: ConditionType
    """What it is about: Ready, Reconciling, Stalled, Available or Released."""
    status: ConditionStatus
    """Whether it holds: True, False or Unknown."""
    observed_generation: Count
    """Generation of the spec that it was found for."""
    last_transition_time: Instant
    """When its status last changed."""
    reason: Reason
    """Why, in one word; the documentation lists what each means and the next step."""
    message: Message
    """Why, in a sentence, and what to do next."""
