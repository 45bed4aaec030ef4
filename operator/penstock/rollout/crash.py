"""The crash rule: the candidate's own process keeps ending while stable's does not.

It lies outside of falseRollback and is counted apart, so it asks for much: the container's own end, twice within a
minute, in every pod of the candidate, with nothing from outside to explain it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from penstock.api.contract import EXIT_RETRY
from penstock.world import Container, ContainerRole, Exit, Pod

ENDS = 2
WITHIN = timedelta(minutes=1)

_OWN_ENDS = frozenset({"Error", "OOMKilled", "Completed"})
"""What the kubelet calls an end that the process brought about; others are its own or the runtime's failures."""
_OVER = frozenset({"Failed", "Succeeded"})


def crash_of(
    candidate: Iterable[Pod], others: Iterable[Pod], troubled_nodes: Mapping[str, str], now: datetime
) -> Exit | None:
    """The newest end by which the rule holds, or None.

    `others` are the pods to compare with: stable's, in the watch after a promotion those of the previous revision.
    """
    started = [pod for pod in candidate if _has_started(pod)]
    ends = [_repeated_end(pod, troubled_nodes, now) for pod in started]
    found = [end for end in ends if end is not None]
    if not found or len(found) < len(started) or not _are_well(list(others), troubled_nodes, now):
        return None
    return max(found, key=lambda end: end.finished_at or now)


def _are_well(pods: list[Pod], troubled_nodes: Mapping[str, str], now: datetime) -> bool:
    return any(pod.ready and not pod.deleting for pod in pods) and all(
        _repeated_end(pod, troubled_nodes, now) is None for pod in pods
    )


def _has_started(pod: Pod) -> bool:
    """Pods on their way out, replaced, or not yet up say nothing about the model."""
    if pod.deleting or pod.phase in _OVER:
        return False
    return any(server.running or server.exits > 0 for server in main_containers(pod))


def _repeated_end(pod: Pod, troubled_nodes: Mapping[str, str], now: datetime) -> Exit | None:
    if pod.disruption or pod.node in troubled_nodes:
        return None
    return next((end for server in main_containers(pod) if (end := _twice_within(server, now)) is not None), None)


def _twice_within(server: Container, now: datetime) -> Exit | None:
    """The kubelet remembers one end only. That the process had ended before, and then lived less than a minute, is what
    two ends within a minute look like afterwards."""
    end = server.last_exit
    if server.exits < ENDS or end is None or end.reason not in _OWN_ENDS or end.code == EXIT_RETRY:
        return None
    if end.started_at is None or end.finished_at is None or end.finished_at - end.started_at > WITHIN:
        return None
    recovered = server.running and now - end.finished_at > WITHIN
    return None if recovered else end


def main_containers(pod: Pod) -> Iterable[Container]:
    """The containers whose process is the model server."""
    return (container for container in pod.containers if container.role is ContainerRole.MAIN)
