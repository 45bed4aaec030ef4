"""Metadata of the server and of the model."""

import pytest
from oip_conformance.spec import REST, not_offered, spec
from oip_conformance.target import Json, Target, by_name, require_error

DATATYPES = {
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
}


@spec(REST, "Server Metadata")
def test_server(target: Target) -> None:
    """/v2 gives name, version and extensions."""
    answer = target.get("/v2")
    assert answer.status == 200, f"answered with {answer.status}"
    document = answer.json()
    assert isinstance(document.get("name"), str), "name is not a text"
    assert isinstance(document.get("version"), str), "version is not a text"
    extensions = document.get("extensions")
    assert isinstance(extensions, list), "extensions is not a list"
    assert all(isinstance(item, str) for item in extensions), "extensions are not all texts"


@spec(REST, "Model Metadata")
def test_model(target: Target) -> None:
    """The metadata names the model and its platform."""
    assert target.metadata.get("name") == target.model, f"name is {target.metadata.get('name')!r}"
    assert isinstance(target.metadata.get("platform"), str), "platform is not a text"


def _require_tensors(found: Json) -> None:
    assert isinstance(found, list), f"it is {type(found).__name__}, not a list"
    assert found, "it is empty"
    for tensor in found:
        assert isinstance(tensor.get("name"), str), "a name is not a text"
        assert tensor.get("datatype") in DATATYPES, f"{tensor.get('datatype')!r} is no datatype"
        shape = tensor.get("shape")
        assert isinstance(shape, list), f"the shape of {tensor['name']!r} is not a list"
        assert all(type(extent) is int and extent >= -1 for extent in shape), f"{shape} is no shape"


@spec(REST, "Model Metadata")
@pytest.mark.parametrize("which", ["inputs", "outputs"])
def test_tensors(target: Target, which: str) -> None:
    """The metadata describes every tensor by name, datatype and shape."""
    _require_tensors(target.metadata.get(which))


@spec(REST, "Model Metadata")
def test_outputs_are_as_declared(target: Target) -> None:
    """The outputs of an answer are declared in the metadata, with their datatype and number of dimensions."""
    declared = {tensor["name"]: tensor for tensor in target.metadata.get("outputs") or []}
    for output in target.good["outputs"]:
        assert output["name"] in declared, f"output {output['name']!r} is not in the metadata"
        tensor = declared[output["name"]]
        assert output["datatype"] == tensor["datatype"], f"{output['datatype']} instead of {tensor['datatype']}"
        assert len(output["shape"]) == len(tensor["shape"]), f"{output['shape']} for {tensor['shape']}"


@spec(REST, "Model Metadata")
def test_unknown_model(target: Target) -> None:
    """The metadata of a model that is not there is the protocol's error."""
    require_error(target.get("/v2/models/there-is-no-such-model"))


def _version(target: Target) -> str:
    versions = target.metadata.get("versions")
    if not versions:
        not_offered("the metadata names no versions")
    version = versions[0]
    assert isinstance(version, str), "a version is not a text"
    return str(version)


@spec(REST, "Model Metadata")
def test_versions_have_metadata(target: Target) -> None:
    """Every version that the metadata names has metadata of its own."""
    answer = target.get(f"{target.base}/versions/{_version(target)}")
    assert answer.status == 200, f"answered with {answer.status}"
    assert answer.json()["name"] == target.model


@spec(REST, "Health")
def test_versions_are_ready(target: Target) -> None:
    """A version that the metadata names is ready."""
    assert target.get(f"{target.base}/versions/{_version(target)}/ready").status == 200


@spec(REST, "Inference")
def test_versions_answer(target: Target) -> None:
    """A version that the metadata names answers, and says which version it is."""
    version = _version(target)
    answer = target.post(f"{target.base}/versions/{version}/infer", target.request())
    assert answer.status == 200, f"answered with {answer.status}"
    assert answer.json().get("model_version") == version, f"model_version is {answer.json().get('model_version')!r}"
    assert by_name(answer.json()) == by_name(target.good)


@spec(REST, "Inference")
def test_without_versions_none_is_told(target: Target) -> None:
    """A server without versions leaves model_version out."""
    if target.metadata.get("versions"):
        not_offered("the model has versions")
    assert not target.good.get("model_version"), f"model_version is {target.good['model_version']!r}"


@spec(REST, "Inference")
def test_unknown_version(target: Target) -> None:
    """A version that is not there is the protocol's error."""
    require_error(target.post(f"{target.base}/versions/no-such-version/infer", target.request()))
