"""Which differences are ours to repair, and how they are named."""

from typing import Any

import pytest
from penstock.reconcile.drift import ANNOTATION_FINGERPRINT, first_difference, stamped


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param({"spec": {"replicas": 2}}, {"spec": {"replicas": 2, "paused": False}}, id="what others set"),
        pytest.param({"spec": {"env": []}}, {"spec": {}}, id="an empty list that is left out"),
        pytest.param({"spec": {"resources": {}}}, {"spec": {}}, id="an empty map that is left out"),
        pytest.param({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, id="an empty text left out"),
        pytest.param({"a": [{"name": "x"}]}, {"a": [{"name": "y"}, {"name": "x", "n": 1}]}, id="others' entries"),
        pytest.param(
            {"c": {"resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}},
            {"c": {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}}, id="amounts written anew",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
            {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp", "readOnly": False}]}, id="entries by name",
        ),
        pytest.param({"ownerReferences": [{"uid": "1", "kind": "A"}]},
                     {"ownerReferences": [{"uid": "2"}, {"uid": "1", "kind": "A"}]}, id="another owner beside"),
        pytest.param({"spec": {"selector": {"a": "b"}}}, {"spec": {"selector": {"a": "b"}}}, id="the same selector"),
    ],
)  # fmt: skip
def test_what_is_no_difference(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert first_difference(wanted, live) is None


@pytest.mark.parametrize(
    ("wanted", "live", "says"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}, "spec.replicas is 3, not 2"),
        ({"spec": {"replicas": 2}}, {"spec": {}}, "spec.replicas is absent, not 2"),
        ({"spec": {"a": False}}, {"spec": {"a": True}}, "spec.a is true, not false"),
        ({"spec": {"a": 0}}, {"spec": {}}, "spec.a is absent, not 0"),
        ({"spec": {"a": False}}, {"spec": {}}, "spec.a is absent, not false"),
        (
            {"containers": [{"name": "server", "image": "x:2"}]},
            {"containers": [{"name": "server", "image": "x:1"}]},
            'containers[server].image is "x:1", not "x:2"',
        ),
        ({"a": [{"name": "x", "n": 1}]}, {"a": [{"name": "y"}]}, 'a[x].name is absent, not "x"'),
        ({"ingress": [{"from": 1}]}, {"ingress": []}, "ingress has 0 entries, not 1"),
        ({"ports": [1, 2]}, {"ports": [1, 3]}, "ports[1] is 3, not 2"),
        (
            {"spec": {"selector": {"a": "b"}}},
            {"spec": {"selector": {"a": "b", "c": "d"}}},
            'spec.selector is {"a": "b", "c": "d"}, not {"a": "b"}',
        ),
        ({"label": {"cpu": "1000m"}}, {"label": {"cpu": "1"}}, 'label.cpu is "1", not "1000m"'),
        ({"c": {"resources": {"cpu": "2"}}}, {"c": {"resources": {"cpu": "1"}}}, 'c.resources.cpu is "1", not "2"'),
        ({"c": {"resources": {"cpu": "2"}}}, {"c": {"resources": {"cpu": None}}}, 'c.resources.cpu is absent, not "2"'),
    ],
)
def test_the_first_difference_is_named(wanted: dict[str, Any], live: dict[str, Any], says: str) -> None:
    assert first_difference(wanted, live) == says


def test_long_values_are_cut() -> None:
    says = first_difference({"data": "x" * 500}, {"data": "y" * 500})
    assert says is not None
    assert len(says) < 200


def test_what_is_no_longer_asked_for_shows_in_the_fingerprint() -> None:
    def service(annotations: dict[str, str]) -> dict[str, Any]:
        return {"kind": "Service", "metadata": {"name": "fraud", "annotations": annotations}, "spec": {"port": 80}}

    before, after = stamped(service({"example.org/scheme": "internal"})), stamped(service({}))
    assert first_difference(after, before) is not None
    assert first_difference(stamped(service({})), after) is None
    assert before["metadata"]["annotations"]["example.org/scheme"] == "internal"
    assert set(after["metadata"]["annotations"]) == {ANNOTATION_FINGERPRINT}
