"""Reads manifests: YAML text in, a validated `ModelDeployment` out, or every problem at once."""

from collections.abc import Hashable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from penstock.api.errors import BadManifestError, Problem
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.problems import problems_of
from penstock.api.rollout import Rollout

KIND = "ModelDeployment"


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice: one of the two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key} occurs twice: remove one", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load(text: str) -> ModelDeployment:
    """The one ModelDeployment in a YAML or JSON text; objects of other kinds, and its status, are passed over.

    Raises BadManifestError with every problem: broken YAML, none or several of the kind, unknown fields, wrong values.
    """
    document = _deployment_in(text)
    try:
        return ModelDeployment.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        raise BadManifestError(*problems_of(error, ModelDeployment)) from None


def load_rollout(text: str) -> Rollout:
    """The rollout of the one ModelDeployment in a text, which may still lack a model or a name.

    For questions that only the rollout answers, such as replaying counters. What is there must be right all the same:
    raises BadManifestError as `load` does, except for required fields missing outside of `spec.rollout`, and for what
    only a cluster cannot do in this version.
    """
    document = _deployment_in(text)
    try:
        return ModelDeployment.model_validate(document, by_alias=True, by_name=False).spec.rollout
    except ValidationError as error:
        problems = problems_of(error, ModelDeployment, passing_over=_is_no_fault_of_the_rollout)
        if problems:
            raise BadManifestError(*problems) from None
    written = document.get("spec") or {}
    return Rollout.model_validate(written.get("rollout", {}), by_alias=True, by_name=False)


def _is_no_fault_of_the_rollout(kind: str, location: tuple[int | str, ...]) -> bool:
    return (kind == "missing" and location[:2] != ("spec", "rollout")) or (
        kind == "penstock_rule" and location == ("spec",)
    )


def _deployment_in(text: str) -> Mapping[str, Any]:
    try:
        documents = [document for document in yaml.load_all(text, _StrictLoader) if document is not None]
    except yaml.YAMLError as error:
        raise BadManifestError(Problem("", f"this is no YAML: {_one_line(error)}")) from None
    found = [document for document in documents if isinstance(document, Mapping) and document.get("kind") == KIND]
    if len(found) == 1:
        return {field: value for field, value in found[0].items() if field != "status"}
    if found:
        raise BadManifestError(Problem("", f"found {len(found)} ModelDeployments: keep one to a file"))
    kinds = sorted({str(d.get("kind")) if isinstance(d, Mapping) else type(d).__name__ for d in documents})
    others = ", ".join(kinds) or "nothing"
    raise BadManifestError(Problem("kind", f"found no ModelDeployment but {others}: write kind: {KIND}"))


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())
