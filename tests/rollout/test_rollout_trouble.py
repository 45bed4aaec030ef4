"""Why pods do not become ready: each cause by its reason, and whether time or a person cures it."""

import json
from datetime import timedelta

import pytest
from penstock.api.reasons import Reason
from penstock.rollout.trouble import Cure, trouble_of
from penstock.world import Pod
from rollout_pods import NOW, ended, fetch, monitor, pod, server, well

SINCE = NOW - timedelta(minutes=1)
PULL = 'Back-off pulling image "x/y:1": ErrImagePull: failed to pull and unpack image "x/y:1": '


def words(reason: str, message: str = "why and what next") -> str:
    return json.dumps({"reason": reason, "kind": "BadInput", "message": message})


CAUSES = [
    pytest.param(
        pod(unschedulable="0/3 nodes are available: 3 Insufficient cpu."), Reason.UNSCHEDULABLE, Cure.TIME,
        "3 Insufficient cpu", id="no node has room",
    ),
    pytest.param(pod(disruption="Evicted"), Reason.NODE_TROUBLE, Cure.TIME, "Evicted", id="evicted"),
    pytest.param(pod(node="bad"), Reason.NODE_TROUBLE, Cure.TIME, "NotReady", id="a node that is not well"),
    pytest.param(
        pod(server(waiting="ImagePullBackOff", waiting_message=PULL + "not found")), Reason.IMAGE_MISSING, Cure.PERSON,
        "not found", id="an image that is not there",
    ),
    pytest.param(
        pod(server(waiting="InvalidImageName", waiting_message="couldn't parse image name")), Reason.IMAGE_MISSING,
        Cure.PERSON, "parse", id="no image's name",
    ),
    pytest.param(
        pod(fetch(exits=0, waiting="ErrImagePull", waiting_message="dial tcp 10.0.0.9:443: i/o timeout")),
        Reason.REGISTRY_UNREACHABLE, Cure.TIME, "i/o timeout", id="a registry that does not answer",
    ),
    pytest.param(
        pod(server(waiting="CreateContainerConfigError", waiting_message='secret "keys" not found')),
        Reason.MISCONFIGURED, Cure.PERSON, "keys", id="a missing secret",
    ),
    pytest.param(
        pod(fetch(last_exit=ended(78, message=words("DigestMismatch", "has the digest sha256:1, not sha256:2")))),
        Reason.DIGEST_MISMATCH, Cure.PERSON, "sha256:1", id="another content",
    ),
    pytest.param(
        pod(fetch(last_exit=ended(75, message=words("ModelUnreachable", "s3 does not answer"))), server(running=False)),
        Reason.MODEL_UNREACHABLE, Cure.TIME, "s3 does not answer", id="a store that does not answer",
    ),
    pytest.param(
        pod(fetch(last_exit=ended(0, reason="Completed")), server(1, ended(78, message=words("ScikitLearnMismatch")))),
        Reason.SCIKIT_LEARN_MISMATCH, Cure.PERSON, "what next", id="another scikit-learn",
    ),
    pytest.param(
        pod(server(2, ended(137, reason="OOMKilled"))), Reason.OUT_OF_MEMORY, Cure.PERSON, "limits.memory",
        id="out of memory at load",
    ),
    pytest.param(
        pod(server(3, ended(1, message="ImportError:\n no module"), waiting="CrashLoopBackOff")), Reason.NEVER_READY,
        Cure.PERSON, "ImportError: no module", id="it ends again and again",
    ),
    pytest.param(
        pod(server(3, ended(78, message="no JSON"))), Reason.NEVER_READY, Cure.PERSON, "exit code 78",
        id="last words that are not ours",
    ),
    pytest.param(
        pod(server(3, ended(78, message=words("NoSuchReason")))), Reason.NEVER_READY, Cure.PERSON, "exit code 78",
        id="a reason that only another version knows",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lame", "reason", "cure", "says"), CAUSES)
def test_a_cause_is_named(lame: Pod, reason: Reason, cure: Cure, says: str) -> None:
    found = trouble_of([lame], "", {"bad": "NotReady"}, SINCE, NOW)
    assert found is not None
    assert (found.reason, found.cure) == (reason, cure)
    assert says in found.message
    assert lame.name not in found.message


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([], id="no pods yet"),
        pytest.param([pod(server(waiting="ContainerCreating"))], id="starting"),
        pytest.param([pod(fetch(exits=0), server(waiting="PodInitializing"))], id="fetching"),
        pytest.param([pod(fetch(last_exit=ended(0, reason="Completed")), server())], id="loading"),
        pytest.param([pod(server(1, ended()))], id="one end is bad luck"),
        pytest.param([pod(server(), monitor(9, ended()))], id="a helper that crashes"),
        pytest.param([pod(server(9, ended()), ready=True)], id="a ready pod"),
        pytest.param([pod(server(9, ended()), deleting=True)], id="a pod on its way out"),
        pytest.param([pod(server(9, ended()), phase="Failed")], id="a pod that was replaced"),
    ],
)
def test_what_is_ordinary_is_no_trouble(pods: list[Pod]) -> None:
    assert trouble_of(pods, "", {}, SINCE, NOW) is None


@pytest.mark.parametrize(
    ("failure", "reason", "cure"),
    [
        ('pods "x" is forbidden: exceeded quota: small, requested: pods=1', Reason.QUOTA_EXCEEDED, Cure.TIME),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', Reason.FORBIDDEN, Cure.PERSON),
    ],
)
def test_pods_that_cannot_be_made(failure: str, reason: Reason, cure: Cure) -> None:
    found = trouble_of([], failure, {}, SINCE, NOW)
    assert found is not None
    assert (found.reason, found.cure) == (reason, cure)


def test_what_needs_a_person_comes_before_what_may_pass() -> None:
    both = [pod(unschedulable="full"), pod(server(waiting="InvalidImageName"), name="b")]
    found = trouble_of(both, "", {}, SINCE, NOW)
    assert found is not None
    assert found.reason is Reason.IMAGE_MISSING


def test_the_order_of_pods_does_not_matter() -> None:
    lame = [
        pod(unschedulable="full", name="a"),
        pod(disruption="Evicted", name="b"),
        pod(server(waiting="ErrImagePull", waiting_message="timeout"), name="c"),
    ]
    assert trouble_of(lame, "", {}, SINCE, NOW) == trouble_of(lame[::-1], "", {}, SINCE, NOW)


@pytest.mark.parametrize("pods", [[], [pod(unschedulable="full")]], ids=["silent", "unschedulable"])
def test_after_ten_minutes_it_needs_a_person(pods: list[Pod]) -> None:
    found = trouble_of(pods, "", {}, NOW - timedelta(minutes=10), NOW)
    assert found is not None
    assert (found.reason, found.cure) == (Reason.NEVER_READY, Cure.PERSON)


def test_long_words_are_cut() -> None:
    found = trouble_of([pod(server(3, ended(1, message="x" * 5000)))], "", {}, SINCE, NOW)
    assert found is not None
    assert len(found.message) < 500
    assert trouble_of(well(3), "", {}, SINCE, NOW) is None
