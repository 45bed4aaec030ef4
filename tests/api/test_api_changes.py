"""Each field of a deployment's spec is in exactly one class of change."""

from collections.abc import Iterator
from typing import Any

import pytest
from penstock.api.changes import CHANGES, Change
from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.api.schema import object_schema


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, child in schema["properties"].items():
        below = f"{path}.{name}".lstrip(".")
        if "properties" in child:
            yield from leaves(child, below)
        else:
            yield below


LEAVES = list(leaves(object_schema(ModelDeploymentSpec)))


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_field_is_in_exactly_one_class(leaf: str) -> None:
    assert len([path for path in CHANGES if leaf == path or leaf.startswith(f"{path}.")]) == 1


@pytest.mark.parametrize("path", CHANGES)
def test_a_class_is_of_a_field_that_exists(path: str) -> None:
    assert any(leaf == path or leaf.startswith(f"{path}.") for leaf in LEAVES)


def test_what_a_release_is_judged_by_is_frozen() -> None:
    frozen = {path for path, change in CHANGES.items() if change is Change.FROZEN}
    assert {"rollout.guardrails", "rollout.falseRollback", "rollout.missedRegression"} <= frozen
