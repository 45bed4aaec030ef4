"""The definitions in crds/ are made from the models, and bounded as an API server needs them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock.api import crds
from penstock.api.reasons import Reason

ROOT = Path(__file__).parents[2]
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.yaml"))
Schema = dict[str, Any]

DEFINITIONS = {resource.kind: crds.definition(resource) for resource in crds.RESOURCES}


def schema_of(kind: str) -> Schema:
    schema: Schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if (path, name) not in {(kind, "metadata") for kind in DEFINITIONS}:
            yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


NODES = [node for kind in DEFINITIONS for node in nodes(schema_of(kind), kind)]


def test_the_committed_files_are_those_the_models_make() -> None:
    committed = {path.name: path.read_text() for path in (ROOT / "crds").iterdir()}
    assert committed == dict(crds.files()), "run: python -m penstock.api.crds"


def test_writing_makes_the_same_files(tmp_path: Path) -> None:
    crds.main(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict(crds.files())


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_definition_fits_into_a_last_applied_annotation(kind: str) -> None:
    (text,) = (text for name, text in crds.files().items() if name.startswith(f"{kind.lower()}s."))
    assert len(text.encode()) < 200_000


def test_no_kind_is_swept_up_by_kubectl_delete_all() -> None:
    for definition in DEFINITIONS.values():
        assert "categories" not in definition["spec"]["names"]


def test_a_deployment_shows_what_a_release_is_about() -> None:
    version = DEFINITIONS["ModelDeployment"]["spec"]["versions"][0]
    shown = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert shown == ["Ready", "Reason", "Stable", "Candidate", "Weight", "Age"]
    assert version["subresources"]["scale"] == {
        "specReplicasPath": ".spec.runtime.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    assert DEFINITIONS["ModelDeployment"]["spec"]["names"]["shortNames"] == ["mdep"]


def test_the_api_server_stores_replicas_for_autoscalers_and_a_generation_that_none_has_for_kstatus() -> None:
    stored = {path: schema["default"] for path, schema in NODES if "default" in schema}
    assert stored == {
        "ModelDeployment.spec.runtime": {},
        "ModelDeployment.spec.runtime.replicas": 2,
        "ModelDeployment.status": {},
        "ModelDeployment.status.observedGeneration": -1,
        "Router.spec": {},
        "Router.spec.replicas": 2,
        "Router.status": {},
        "Router.status.observedGeneration": -1,
    }


def test_everything_is_bounded() -> None:
    for path, schema in NODES:
        match schema.get("type"):
            case "string":
                assert {"maxLength", "enum", "format"} & schema.keys() or path.count(".") == 1, path
            case "array":
                assert schema["maxItems"] <= 50, path
                assert schema["x-kubernetes-list-type"] in {"map", "atomic"}, path
            case "object" if "additionalProperties" in schema:
                assert schema["maxProperties"] <= 50, path
            case "integer":
                assert {"minimum", "maximum"} <= schema.keys(), path


def test_there_are_no_floats() -> None:
    assert [path for path, schema in NODES if schema.get("type") == "number"] == []


def test_every_field_is_explained() -> None:
    assert [path for path, schema in NODES if not schema.get("description") and path[-1] not in "]}"] == []


def test_lists_whose_entries_have_a_name_or_type_are_maps() -> None:
    for path, schema in NODES:
        if schema.get("type") != "array":
            continue
        keys = [key for key in ("name", "type") if key in schema["items"].get("properties", {})]
        assert schema.get("x-kubernetes-list-map-keys", []) == keys[:1], path


def test_reasons_are_published() -> None:
    reasons = dict(NODES)["ModelDeployment.status.conditions[].reason"]["enum"]
    assert reasons == [reason.value for reason in Reason]


def test_every_rule_has_a_manifest_that_it_refuses() -> None:
    said = [text for path in FIXTURES for text in yaml.safe_load(path.read_text().split("---\n")[0])["says"]]
    rules = [rule for _, schema in NODES for rule in schema.get("x-kubernetes-validations", ())]
    assert len(rules) > 30
    for rule in rules:
        assert any(text in rule["message"] for text in said), rule


def test_a_rule_blames_a_field_that_is_there() -> None:
    for path, schema in NODES:
        for rule in schema.get("x-kubernetes-validations", ()):
            if "fieldPath" in rule:
                assert rule["fieldPath"].removeprefix(".") in schema["properties"], path
