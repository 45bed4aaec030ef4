"""Which objects wake which reconcile."""

import pytest
from penstock.api.names import LABEL_DEPLOYMENT, LABEL_MANAGED_BY, LABEL_ROUTER
from penstock.cluster.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    KINDS,
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    NODE,
    POD,
    ROUTER,
    SERVICE,
    Kind,
    kind_of,
)
from penstock.reconcile.effects import Queue
from penstock.runtime.keys import Key
from penstock.runtime.watching import WATCHES, is_watched, keys_for


def made(name: str, **labels: str) -> dict:
    return {"metadata": {"namespace": "risk", "name": name, "labels": labels}, "spec": {"deployment": "fraud"}}


FRAUD = Key(Queue.DEPLOYMENT, "risk", "fraud")
DEFAULT = Key(Queue.ROUTER, "risk", "default")


@pytest.mark.parametrize(
    ("kind", "document", "keys"),
    [
        (MODEL_DEPLOYMENT, made("fraud"), [FRAUD, DEFAULT]),
        (ROUTER, made("default"), [DEFAULT]),
        (MODEL_REVISION, made("fraud-1", **{LABEL_DEPLOYMENT: "fraud"}), [FRAUD, DEFAULT]),
        (MODEL_REVISION, made("fraud-1"), [FRAUD, DEFAULT]),
        (POD, made("fraud-1-x", **{LABEL_DEPLOYMENT: "fraud"}), [FRAUD]),
        (DEPLOYMENT, made("penstock-router-default", **{LABEL_ROUTER: "default"}), [DEFAULT]),
        (CONFIG_MAP, made("penstock-router-default", **{LABEL_ROUTER: "default"}), [DEFAULT]),
        (SERVICE, made("someone-elses"), []),
    ],
)
def test_an_object_wakes_what_depends_on_it(kind: Kind, document: dict, keys: list[Key]) -> None:
    assert list(keys_for(kind, document)) == keys


def test_only_objects_that_the_watch_selects_must_be_heard_of() -> None:
    by_kind = {watch.kind: watch for watch in WATCHES}
    assert is_watched(by_kind[MODEL_DEPLOYMENT], made("fraud"))
    assert is_watched(by_kind[SERVICE], made("fraud", **{LABEL_MANAGED_BY: "penstock"}))
    assert not is_watched(by_kind[SERVICE], made("fraud", **{LABEL_MANAGED_BY: "helm"}))


def test_every_kind_has_its_place_in_the_api() -> None:
    assert DEPLOYMENT.path("risk", "fraud", "status") == "/apis/apps/v1/namespaces/risk/deployments/fraud/status"
    assert POD.path("risk") == "/api/v1/namespaces/risk/pods"
    assert MODEL_DEPLOYMENT.path() == "/apis/penstock.dev/v1alpha1/modeldeployments"
    assert NODE.path("", "node-1") == "/api/v1/nodes/node-1"
    assert EVENT.path("a/b") == "/apis/events.k8s.io/v1/namespaces/a%2Fb/events"
    assert all(kind_of(kind.api_version, kind.kind) is kind for kind in KINDS)
    with pytest.raises(KeyError):
        kind_of("v1", "Secret")
