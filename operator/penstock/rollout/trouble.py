"""Why pods do not become ready: what may pass by itself, and what needs a person."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from penstock.api.contract import EXIT_BAD_INPUT, EXIT_RETRY
from penstock.api.reasons import Reason
from penstock.world import Container, ContainerRole, Exit, Pod

READY_WITHIN = timedelta(minutes=10)
"""A release whose pods are not ready after so long needs a person, whatever the reason."""

ENDS = 3
"""So many ends of a process that was never ready are no bad luck."""

_OVER = frozenset({"Failed", "Succeeded"})
_NO_SUCH_IMAGE = re.compile(
    r"not found|manifest unknown|does not exist|denied|unauthorized|authentication required|forbidden"
    r"|invalid reference|no matching manifest",
    re.IGNORECASE,
)
_PULL_PREFIX = re.compile(r'^Back-off pulling image "[^"]*"(: \w+)?(: )?')
_MISCONFIGURED = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NO_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
_REASONS = {reason.value: reason for reason in Reason}


class Cure(Enum):
    """What ends a trouble."""

    TIME = auto()
    """It may pass: the release holds."""
    PERSON = auto()
    """It stays until a person changes something: the release is stalled."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why pods do not become ready. The message names no pod: names change while the trouble stays the same."""

    reason: Reason
    message: str
    cure: Cure


def trouble_of(
    pods: Sequence[Pod], failure: str, troubled_nodes: Mapping[str, str], since: datetime, now: datetime
) -> Trouble | None:
    """The trouble of pods that should be ready, None while they may just be starting.

    Args:
        pods: of one revision.
        failure: why their Deployment cannot make more of them, as the API server says; empty otherwise.
        troubled_nodes: nodes that are not well, and why.
        since: when they were first wanted.
        now: the time of the snapshot.
    """
    lame = [pod for pod in pods if not pod.ready and not pod.deleting and not _replaced(pod)]
    found = [trouble for pod in lame if (trouble := _of_pod(pod, troubled_nodes)) is not None]
    if failure:
        found.append(_of_failure(failure))
    lasting = [trouble for trouble in found if trouble.cure is Cure.PERSON]
    if lasting:
        return min(lasting, key=_rank)
    if now - since >= READY_WITHIN:
        because = min(found, key=_rank).message if found else "see the pods' events and logs"
        return Trouble(
            Reason.NEVER_READY, f"No pod became ready within {_minutes(READY_WITHIN)}: {because}", Cure.PERSON
        )
    return min(found, key=_rank) if found else None


def _rank(trouble: Trouble) -> tuple[str, str]:
    """Any order will do, as long as it does not depend on the pods' names."""
    return trouble.reason.value, trouble.message


def _replaced(pod: Pod) -> bool:
    return pod.phase in _OVER and not pod.disruption


def _of_failure(failure: str) -> Trouble:
    text = _one_line(failure)
    if "exceeded quota" in failure:
        return Trouble(Reason.QUOTA_EXCEEDED, f"A quota of the namespace forbids more pods: {text}", Cure.TIME)
    return Trouble(Reason.FORBIDDEN, f"The API server refuses the pods: {text}", Cure.PERSON)


def _of_pod(pod: Pod, troubled_nodes: Mapping[str, str]) -> Trouble | None:
    if pod.disruption:
        return Trouble(Reason.NODE_TROUBLE, f"A pod was ended from outside: {pod.disruption}", Cure.TIME)
    if pod.node in troubled_nodes:
        return Trouble(Reason.NODE_TROUBLE, f"A node is not well: {troubled_nodes[pod.node]}", Cure.TIME)
    if pod.unschedulable:
        return Trouble(Reason.UNSCHEDULABLE, f"No node has room for a pod: {_one_line(pod.unschedulable)}", Cure.TIME)
    return next((t for container in pod.containers if (t := _of_container(container)) is not None), None)


def _of_container(container: Container) -> Trouble | None:
    if container.role is ContainerRole.SIDECAR and not container.waiting:
        return None
    what = f"container {container.name}"
    text = _one_line(_PULL_PREFIX.sub("", container.waiting_message))
    if container.waiting in _NO_IMAGE or (container.waiting in _PULLING and _NO_SUCH_IMAGE.search(text)):
        return Trouble(Reason.IMAGE_MISSING, f"The image of {what} cannot be had: {text}", Cure.PERSON)
    if container.waiting in _PULLING:
        return Trouble(Reason.REGISTRY_UNREACHABLE, f"The image of {what} cannot be pulled just now: {text}", Cure.TIME)
    if container.waiting in _MISCONFIGURED:
        return Trouble(Reason.MISCONFIGURED, f"The kubelet cannot start {what}: {text}", Cure.PERSON)
    if container.last_exit is None or container.role is ContainerRole.SIDECAR:
        return None
    return _of_exit(container, container.last_exit)


def _of_exit(container: Container, end: Exit) -> Trouble | None:
    if end.code == 0 and container.role is ContainerRole.INIT:
        return None
    if end.code in (EXIT_BAD_INPUT, EXIT_RETRY):
        cure = Cure.PERSON if end.code == EXIT_BAD_INPUT else Cure.TIME
        said = _last_words(end.message)
        if said is not None:
            return Trouble(said.reason, said.message, cure)
    if end.reason == "OOMKilled" and container.exits >= 2:
        return Trouble(
            Reason.OUT_OF_MEMORY,
            f"container {container.name} needs more memory than its limit: raise spec.runtime.resources.limits.memory",
            Cure.PERSON,
        )
    if container.exits >= ENDS:
        says = f", saying: {_one_line(end.message)}" if end.message else ""
        return Trouble(
            Reason.NEVER_READY,
            f"container {container.name} ends again and again (exit code {end.code}, {end.reason or 'unknown'}){says}",
            Cure.PERSON,
        )
    return None


@dataclass(frozen=True, slots=True)
class _Words:
    reason: Reason
    message: str


def _last_words(text: str) -> _Words | None:
    """What our own containers say when they give up: one JSON object with reason and message."""
    try:
        said = json.loads(text)
        return _Words(_REASONS[said["reason"]], str(said["message"]))
    except (ValueError, TypeError, KeyError):
        return None


def _one_line(text: str, longest: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:g} minutes"


def ready(pods: Iterable[Pod]) -> int:
    """How many of the pods take requests."""
    return sum(1 for pod in pods if pod.ready and not pod.deleting)
