"""The operator on a real API server: a stored spec that it cannot read stops neither judging nor rolling back."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modeldeployments.penstock.dev"


def without_rules(schema: Any) -> Any:
    """A schema that an older version might have had."""
    if isinstance(schema, dict):
        return {key: without_rules(value) for key, value in schema.items() if key != "x-kubernetes-validations"}
    return [without_rules(value) for value in schema] if isinstance(schema, list) else schema


@pytest.fixture
def older_definition(bench) -> Iterator[None]:
    """The API server takes specs that today's rules refuse."""
    definition = bench.admin.call("GET", DEFINITION)
    versions = definition["spec"]["versions"]
    replace(bench, without_rules(versions))
    yield
    replace(bench, versions)


def replace(bench, versions: Any) -> None:
    definition = bench.admin.call("GET", DEFINITION)
    definition["spec"]["versions"] = versions
    bench.admin.call("PUT", DEFINITION, definition)


def test_a_failing_candidate_is_taken_back_though_the_newest_spec_cannot_be_read(bench, older_definition):
    admin, namespace = bench.admin, bench.admin.namespace("in-force")
    admin.apply(models.deployment(namespace, "fraud"))
    first = models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
    admin.apply(models.deployment(namespace, "fraud", 2))
    until(
        lambda: models.status(admin, namespace, "fraud").get("candidate", {}).get("weight") == 10,
        lambda: f"the candidate has traffic\n{bench.operator.tail()}",
    )

    def broken() -> bool:
        change = {"spec": {"rollout": {"deadline": "soon"}}}
        path = f"/apis/penstock.dev/v1alpha1/namespaces/{namespace}/modeldeployments/fraud"
        return bench.admin.answer("PATCH", path, change, form="application/merge-patch+json").is_success

    until(broken, "the API server takes the spec")
    refused = models.until_phase(admin, namespace, "fraud", "Refused", log=bench.operator.tail)
    assert models.condition(refused, "Stalled") == ("True", "InvalidSpec")
    assert "spec.rollout.deadline" in refused["message"]
    assert refused["candidate"]["weight"] == 10
    # A killed operator knows it too.
    bench.operator.kill()
    bench.operator.start()
    bench.agents.behaviours[namespace] = {"fraud": "failing"}
    until(
        lambda: [arm["role"] for arm in models.table(admin, namespace)["fraud"]["arms"]] == ["stable"],
        lambda: f"the candidate is out of the table\n{bench.operator.tail()}",
    )
    after = until(
        lambda: (s := models.status(admin, namespace, "fraud"))["history"][0]["outcome"] == "RolledBack" and s,
        lambda: f"the rollback is told\n{bench.operator.tail()}",
    )
    assert after["stable"] == first["stable"]
    assert after["phase"] == "Refused"
    admin.merge("ModelDeployment", namespace, "fraud", {"spec": {"rollout": {"deadline": None}}})
    admin.apply(models.deployment(namespace, "fraud", 1))
    models.until_phase(admin, namespace, "fraud", "Stable", log=bench.operator.tail)
