"""What the server says of itself is the protocol's, with versions and without."""

import json
from typing import Any

import numpy as np
import pytest
from jsonschema_rs import Draft202012Validator
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import documents, v2
from penstock_serving.protocol.documents import Entry, Span, Statistics
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError, RequestError
from penstock_serving.protocol.openapi import openapi
from penstock_serving.protocol.outputs import checked

VERSIONS = Versions("3.11", "1.9", "2.4", "1.5")


def column(name: str, kind: str, **more: Any) -> Column:
    fields = {"takes_missing": False, "takes_unseen": True, "edges": (), "categories": ()} | more
    return Column(name, Datatype(kind), **fields)


OUTPUTS = (Output("predict", Datatype.INT64, 0), Output("predict_proba", Datatype.FP64, 2))
SIGNATURES = {
    "numbers": Signature((column("a", "FP64", takes_missing=True), column("b", "FP64")), OUTPUTS, (), (), VERSIONS),
    "bounded": Signature(
        (column("a", "FP64", bounds=(0.0, 150.0)), column("n", "INT64", bounds=(-3.0, 3.0))),
        OUTPUTS, (), (), VERSIONS,
    ),
    "one": Signature((column("a", "FP32"),), OUTPUTS, (), (), VERSIONS),
    "text": Signature(
        (column("c", "BYTES", takes_unseen=False, categories=("DE", "FR"), takes_missing=True), column("flag", "BOOL")),
        OUTPUTS, (), (), VERSIONS,
    ),
}  # fmt: skip
ROWS: dict[str, list[list[Any]]] = {
    "numbers": [[1.5, 2.0], [None, -1e300]],
    "bounded": [[0.0, -3], [150.0, 3]],
    "one": [[0.5], [3.0]],
    "text": [["DE", True], [None, False]],
}


def request(name: str, rows: list[list[Any]]) -> dict[str, Any]:
    table = np.array(rows, dtype=object)
    return v2.encode_request(table, SIGNATURES[name], ("predict", "predict_proba"))


def schema(name: str, part: str, version: str = "") -> Draft202012Validator:
    document = openapi("fraud", SIGNATURES[name], "0.1", version)
    return Draft202012Validator({"$ref": f"#/components/schemas/{part}", "components": document["components"]})


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("version", ["", "r1"])
def test_what_is_served_is_what_the_openapi_document_says(name: str, version: str) -> None:
    signature, rows = SIGNATURES[name], ROWS[name]
    for asked in (request(name, rows), request(name, rows[:1]), request(name, rows[1:])):
        schema(name, "InferRequest").validate(asked)
        call = v2.decode_call(json.dumps(asked).encode(), None, signature)
        count = len(call.matrix)
        values = {"predict": np.arange(count), "predict_proba": np.full((count, 2), 0.5)}
        computed = [checked(signature.output[output], values[output]) for output in call.outputs]
        answer = json.loads(v2.response("fraud", call, computed, {"digest": "d", "revision": version}, version).body)
        schema(name, "InferAnswer", version).validate(answer)
        assert answer.get("model_version", "") == version
    schema(name, "ModelMetadata", version).validate(documents.model_metadata("fraud", signature, {}, version))
    schema(name, "ServerMetadata").validate(documents.server_metadata("0.1"))
    schema(name, "Index", version).validate(documents.repository_index(Entry("fraud", version, ""), ready_only=False))
    schema(name, "V1Request").validate({"instances": rows})


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("numbers", [[1.0, None]]),
        ("numbers", [["x", 1.0]]),
        ("bounded", [[-0.5, 0]]),
        ("bounded", [[1.0, 4]]),
        ("text", [["IT", True]]),
        ("text", [["DE", 1]]),
    ],
)
def test_rows_that_the_v1_schema_rules_out_are_refused(name: str, rows: list[list[Any]]) -> None:
    from penstock_serving.protocol import v1

    assert not schema(name, "V1Request").is_valid({"instances": rows})
    with pytest.raises(ModelRefusalError):
        v1.decode_call(json.dumps({"instances": rows}).encode(), SIGNATURES[name])


@pytest.mark.parametrize(("row", "column_"), [([-0.1, 0], "a"), ([150.1, 0], "a"), ([1.0, 4], "n"), ([1.0, -4], "n")])
def test_declared_bounds_hold_for_one_row_and_for_many(row: list[Any], column_: str) -> None:
    for rows in ([row], [[1.0, 0], row]):
        with pytest.raises(ModelRefusalError, match=f"input '{column_}' is out of range"):
            v2.decode_call(json.dumps(request("bounded", rows)).encode(), None, SIGNATURES["bounded"])


def test_null_is_as_good_as_leaving_an_optional_field_out() -> None:
    asked = request("one", ROWS["one"]) | {"id": None, "parameters": None, "outputs": None}
    asked["inputs"][0]["parameters"] = None
    call = v2.decode_call(json.dumps(asked).encode(), None, SIGNATURES["one"])
    assert (call.outputs, call.request_id) == (("predict",), "")


def test_integers_that_float64_cannot_tell_apart_are_out_of_range() -> None:
    wanted = Signature((column("n", "INT64"),), OUTPUTS, (), (), VERSIONS)
    for value, taken in [(2**53 - 1, True), (1 - 2**53, True), (2**53, False), (2**53 + 1, False), (-(2**53), False)]:
        for shape, data in [([1], [value]), ([2], [0, value])]:
            asked = {"inputs": [{"name": "n", "datatype": "INT64", "shape": shape, "data": data}]}
            body = json.dumps(asked).encode()
            if taken:
                assert v2.decode_call(body, None, wanted).matrix[-1, 0] == value
            else:
                with pytest.raises(ModelRefusalError, match="out of range"):
                    v2.decode_call(body, None, wanted)


def test_the_version_is_the_revision_or_there_is_none() -> None:
    assert documents.version_of("fraud-7") == "fraud-7"
    assert documents.version_of("none") == ""
    documents.require_version("", "fraud-7", "fraud")
    documents.require_version("fraud-7", "fraud-7", "fraud")
    for asked, version, words in [("1", "fraud-7", "only 'fraud-7'"), ("1", "", "it has no versions")]:
        with pytest.raises(RequestError, match=words) as missing:
            documents.require_version(asked, version, "fraud")
        assert missing.value.status == 404
    assert "versions" not in documents.model_metadata("fraud", SIGNATURES["one"], {})
    assert documents.model_metadata("fraud", SIGNATURES["one"], {}, "fraud-7")["versions"] == ["fraud-7"]


def test_the_index_lists_the_model_by_its_state() -> None:
    ready, stopping = Entry("fraud", "r1", ""), Entry("fraud", "r1", "stopping")
    fields = {"name": "fraud", "version": "r1"}
    assert documents.repository_index(ready, ready_only=True) == [fields | {"state": "READY", "reason": ""}]
    assert documents.repository_index(stopping, ready_only=True) == []
    entries = documents.repository_index(stopping, ready_only=False)
    assert entries == [fields | {"state": "UNAVAILABLE", "reason": "stopping"}]


@pytest.mark.parametrize(("body", "asked"), [(b"", False), (b"{}", False), (b'{"ready": true}', True)])
def test_an_index_request_says_whether_only_ready_ones_are_wanted(body: bytes, asked: bool) -> None:
    assert documents.only_ready(body) is asked


@pytest.mark.parametrize("body", [b" ", b"[]", b"x", b'{"ready": 1}', b'{"ready": null}', b'"ready"'])
def test_other_index_requests_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        documents.only_ready(body)


def test_statistics_have_tritons_fields() -> None:
    spans = [Span(number, number * 1000) for number in range(6)]
    found = documents.statistics("fraud", "", Statistics(17, 9, 4, *spans, batches={8: Span(1, 80), 1: Span(3, 30)}))
    schema("one", "Statistics").validate(found)
    [entry] = found["model_stats"]
    assert "version" not in entry
    assert (entry["last_inference"], entry["inference_count"], entry["execution_count"]) == (17, 9, 4)
    assert entry["inference_stats"]["compute_infer"] == {"count": 4, "ns": 4000}
    assert [(item["batch_size"], item["compute_infer"]["count"]) for item in entry["batch_stats"]] == [(1, 3), (8, 1)]
