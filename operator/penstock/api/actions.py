"""What a person may ask for by annotation: `penstock.dev/promote: <revision>`, `abort`, `retry: <revision>@<time>`.

The value names the revision, so an annotation that stays (the operator never edits a user's metadata) cannot act on a
later release.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from penstock.api.errors import Problem
from penstock.api.names import GROUP


class Verb(StrEnum):
    """What is asked for."""

    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"

    @property
    def annotation(self) -> str:
        """The annotation's key."""
        return f"{GROUP}/{self.value}"


@dataclass(frozen=True, slots=True)
class Action:
    """One request: a verb, the revision it is meant for, and for retry when it was asked."""

    verb: Verb
    revision: str
    at: datetime | None = None

    @property
    def value(self) -> str:
        """The annotation's value."""
        return self.revision if self.at is None else f"{self.revision}@{self.at.isoformat()}"


def actions_in(annotations: Mapping[str, str]) -> tuple[tuple[Action, ...], tuple[Problem, ...]]:
    """The requests among annotations, in the order of `Verb`, and those that cannot be read."""
    actions: list[Action] = []
    problems: list[Problem] = []
    for verb in Verb:
        value = annotations.get(verb.annotation)
        if value is None:
            continue
        read = _read(verb, value)
        if isinstance(read, Action):
            actions.append(read)
        else:
            problems.append(read)
    return tuple(actions), tuple(problems)


def _read(verb: Verb, value: str) -> Action | Problem:
    field = f"metadata.annotations[{verb.annotation}]"
    revision, at_sign, time = value.strip().partition("@")
    if not revision:
        return Problem(
            field, f"names no revision: write the candidate's name, as in {verb.annotation}: fraud-0123456789"
        )
    if verb is not Verb.RETRY:
        if at_sign:
            return Problem(field, f"takes only a revision: remove @{time}")
        return Action(verb, revision)
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        return Problem(
            field, f"needs a time with its zone, so that it acts once: write {revision}@2026-01-31T12:00:00Z"
        )
    return Action(verb, revision, at)
