"""Why a model gets no explanations by arrays."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotExplained:
    """A model whose arrays cannot be exported, and why."""

    reason: str


class UnsupportedError(Exception):
    """Something in the model that the arrays cannot express; the message names it."""
