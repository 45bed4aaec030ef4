"""The crash rule: what counts as the model's own crashing, and what does not."""

from collections.abc import Sequence

import pytest
from penstock.rollout.crash import crash_of
from penstock.world import Pod
from rollout_pods import NOW, ended, fetch, monitor, pod, server, well

CRASHING = server(exits=2, last_exit=ended(), waiting="CrashLoopBackOff")


def holds(candidate: Sequence[Pod], stable: Sequence[Pod] = well(2), nodes: dict[str, str] | None = None) -> bool:
    return crash_of(candidate, stable, nodes or {}, NOW) is not None


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param([pod(CRASHING)], id="waiting to be started again"),
        pytest.param([pod(server(exits=2, last_exit=ended(ago=3)), ready=True)], id="running again just now"),
        pytest.param([pod(server(exits=7, last_exit=ended(reason="OOMKilled", code=137)))], id="out of memory"),
        pytest.param([pod(server(exits=2, last_exit=ended(code=78, ran=1)))], id="a load error"),
        pytest.param([pod(server(exits=2, last_exit=ended(code=0, reason="Completed")))], id="an end without error"),
        pytest.param([pod(CRASHING), pod(CRASHING, name="fraud-2")], id="every pod"),
        pytest.param([pod(CRASHING), pod(server(running=False), name="new")], id="a new pod is not up yet"),
        pytest.param([pod(CRASHING), pod(server(), name="old", ready=True, deleting=True)], id="a pod on its way out"),
        pytest.param([pod(CRASHING), pod(server(), name="gone", phase="Failed")], id="a pod that was replaced"),
    ],
)
def test_it_holds(candidate: list[Pod]) -> None:
    assert holds(candidate)


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param([], id="no pods"),
        pytest.param([pod(server(), ready=True)], id="well"),
        pytest.param([pod(server(exits=1, last_exit=ended()))], id="one end"),
        pytest.param([pod(server(exits=2, last_exit=ended(ran=3600)))], id="a second end after an hour"),
        pytest.param([pod(server(exits=2, last_exit=ended(ago=300)), ready=True)], id="recovered since"),
        pytest.param([pod(CRASHING), pod(server(), name="fraud-2", ready=True)], id="one of two pods"),
        pytest.param([pod(server(exits=2, last_exit=ended(code=75)))], id="it asks to be tried again"),
        pytest.param([pod(server(exits=2, last_exit=ended(reason="ContainerStatusUnknown")))], id="nobody saw it end"),
        pytest.param([pod(server(exits=2, last_exit=ended(reason="StartError", code=128)))], id="it never began"),
        pytest.param([pod(CRASHING, disruption="Evicted")], id="evicted"),
        pytest.param([pod(CRASHING, disruption="PreemptionByScheduler")], id="preempted"),
        pytest.param([pod(server(), monitor(exits=9, last_exit=ended()), ready=True)], id="a helper crashes"),
        pytest.param([pod(server(running=False), fetch(exits=5, last_exit=ended()))], id="the fetch fails"),
    ],
)
def test_it_does_not_hold(candidate: list[Pod]) -> None:
    assert not holds(candidate)


def test_it_does_not_hold_when_the_node_is_not_well() -> None:
    assert holds([pod(CRASHING)], nodes={"n2": "NotReady"})
    assert not holds([pod(CRASHING)], nodes={"n1": "MemoryPressure"})


@pytest.mark.parametrize(
    "stable",
    [
        pytest.param((), id="there is none"),
        pytest.param((pod(name="s"),), id="none is ready"),
        pytest.param((*well(2), pod(CRASHING, name="s")), id="one crashes as well"),
    ],
)
def test_it_does_not_hold_when_stable_is_not_well(stable: tuple[Pod, ...]) -> None:
    assert not holds([pod(CRASHING)], stable)


def test_it_names_the_newest_end() -> None:
    newest = ended(ago=1, code=3)
    older = pod(server(exits=2, last_exit=ended(ago=20)))
    assert crash_of([older, pod(server(exits=2, last_exit=newest), name="b")], well(1), {}, NOW) == newest
