"""The server's OpenAPI 3.1 document, made from the model's signature: its paths, tensors, and every answer it may give.

A schema cannot say that inputs have equally many rows or that `data` fills `shape`; what it can say, it says, so a
request that the schemas rule out is refused.
"""

from typing import Any

from penstock_serving.model.datatype import ACCEPTED, INTEGER_RANGES, INTEGERS, Datatype
from penstock_serving.model.signature import MAX_NAME, Column, Output, Signature
from penstock_serving.protocol.v2 import MAX_ID

Schema = dict[str, Any]

_ERRORS = {
    400: "the request contradicts the protocol or itself, or the model does not take it (then x-penstock-refused)",
    404: "there is no such path, model or version",
    405: "the path is asked with another method",
    408: "the body did not arrive in time",
    413: "the body is too large",
    414: "the target is too long",
    415: "the body is neither JSON nor JSON with binary tensors, or compressed",
    417: "another expectation than 100-continue",
    429: "too many requests at once (x-penstock-saturated, retry-after)",
    431: "there are too many headers, or too large ones",
    500: "the model failed",
    501: "the body is transferred in another coding than chunked",
    503: "the model does not answer now: stopping, or stuck",
    504: "the prediction was not ready in time",
}
_LARGEST_SINGLE = 3.4028234663852886e38
_JSON_TYPES = {Datatype.BOOL: "boolean", Datatype.BYTES: "string"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PARAMETERS: Schema = {"type": ["object", "null"]}


def openapi(model: str, signature: Signature, server_version: str, version: str = "") -> Schema:
    """The document; `version` is the model's, empty when it has none."""
    bases = [f"/v2/models/{model}", *([f"/v2/models/{model}/versions/{version}"] if version else [])]
    paths: dict[str, Schema] = {
        "/v2": {"get": _get("The server's metadata.", "ServerMetadata")},
        "/v2/health/live": {"get": _get("Whether the server answers at all.", "Live")},
        "/v2/health/ready": {"get": _get("Whether the model is ready.", "Ready")},
        "/v2/openapi.json": {"get": _get("This document.", "Document")},
        "/v2/repository/index": {"post": _post("The models here: one.", "IndexRequest", "Index", required=False)},
    }
    for base in bases:
        paths[base] = {"get": _get("The model's metadata.", "ModelMetadata")}
        paths[f"{base}/ready"] = {"get": _get("Whether the model is ready.", "ModelReady")}
        paths[f"{base}/stats"] = {"get": _get("What the model has done so far.", "Statistics")}
        paths[f"{base}/infer"] = {"post": _infer()}
    paths[f"/v1/models/{model}"] = {"get": _get("Whether the model is ready.", "ModelReady")}
    paths[f"/v1/models/{model}:predict"] = {"post": _post("Predictions, by protocol v1.", "V1Request", "V1Answer")}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Model {model}", "version": version or server_version},
        "paths": paths,
        "components": {
            "schemas": {
                **_about(model, version),
                **_statistics(),
                **_v2(model, signature, version),
                **_v1(signature),
            }
        },
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(name: str) -> Schema:
    return {"application/json": {"schema": _reference(name)}}


def _answers(content: Schema) -> Schema:
    refusals = {str(status): {"description": why, "content": _content("Error")} for status, why in _ERRORS.items()}
    return {"200": {"description": "the answer", "content": content}} | refusals


def _get(summary: str, answer: str) -> Schema:
    return {"summary": summary, "responses": _answers(_content(answer))}


def _post(summary: str, request: str, answer: str, *, required: bool = True) -> Schema:
    return {
        "summary": summary,
        "requestBody": {"required": required, "content": _content(request)},
        "responses": _answers(_content(answer)),
    }


def _infer() -> Schema:
    operation = _post("Predictions. Values are JSON, or raw bytes after the JSON.", "InferRequest", "InferAnswer")
    operation["responses"]["200"]["content"]["application/octet-stream"] = {}
    return operation


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": sorted(required), "properties": required | (optional or {})}


def _list(items: Schema, at_least: int = 0) -> Schema:
    return {"type": "array", "items": items, "minItems": at_least}


def _about(model: str, version: str) -> dict[str, Schema]:
    tensor = _object(
        {"name": _TEXT, "datatype": _TEXT, "shape": _list({"type": "integer"}, 1)}, {"parameters": _PARAMETERS}
    )
    versions = {"versions": _list({"const": version}, 1)} if version else {}
    entry = _object(
        {"name": {"const": model}, "state": {"enum": ["READY", "UNAVAILABLE"]}, "reason": _TEXT},
        {"version": {"const": version}} if version else {},
    )
    return {
        "Error": _object({"error": {"type": "string", "minLength": 1}}) | {"additionalProperties": False},
        "Live": _object({"live": {"const": True}}),
        "Ready": _object({"ready": {"const": True}}),
        "ModelReady": _object({"name": {"const": model}, "ready": {"const": True}}),
        "ServerMetadata": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
        "ModelMetadata": _object(
            {
                "name": {"const": model},
                "platform": _TEXT,
                "inputs": _list(tensor, 1),
                "outputs": _list(tensor, 1),
                "properties": {"type": "object", "additionalProperties": _TEXT},
            }
            | versions
        ),
        "Document": {"type": "object"},
        "IndexRequest": _object({}, {"ready": {"type": "boolean"}}),
        "Index": _list(entry),
    }


def _statistics() -> dict[str, Schema]:
    span = _reference("Span")
    stats = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
    counts = dict.fromkeys(("last_inference", "inference_count", "execution_count"), _COUNT)
    batches = _list(_object({"batch_size": _COUNT, "compute_infer": span}))
    entry = {"name": _TEXT, "inference_stats": _object(dict.fromkeys(stats, span)), "batch_stats": batches} | counts
    return {
        "Span": _object({"count": _COUNT, "ns": _COUNT}),
        "Statistics": _object({"model_stats": _list(_object(entry, {"version": _TEXT}), 1)}),
    }


def _values(datatype: Datatype, *, missing: bool) -> Schema:
    """What an element of `data` can be."""
    kinds = [_JSON_TYPES.get(datatype, "integer" if datatype in INTEGERS else "number")]
    schema: Schema = {"type": [*kinds, "null"] if missing else kinds[0]}
    if datatype in INTEGER_RANGES:
        low, high = INTEGER_RANGES[datatype]
        schema |= {"minimum": low, "maximum": high}
    return schema


def _cell(column: Column) -> Schema:
    """What a column takes where no datatype is declared, or its own."""
    schema = _values(column.datatype, missing=column.takes_missing)
    if column.datatype is Datatype.INT64:
        schema |= {"minimum": 1 - 2**53, "maximum": 2**53 - 1}
    if column.datatype is Datatype.FP32:
        schema |= {"minimum": -_LARGEST_SINGLE, "maximum": _LARGEST_SINGLE}
    if column.limits is not None:
        schema |= {"minimum": column.limits[0], "maximum": column.limits[1]}
    if column.series is not None and column.is_time:
        schema |= {"pattern": column.series.time_pattern}
    if column.is_text and column.categories and not column.takes_unseen:
        choices: list[str | None] = [*column.categories]
        schema = {"enum": [*choices, None] if column.takes_missing else choices}
    return schema


def _v2(model: str, signature: Signature, version: str) -> dict[str, Schema]:
    one_row = [
        _object(
            {
                "name": {"const": column.name},
                "datatype": {"const": column.datatype.value},
                "shape": {"const": [1]},
                "data": _list(_cell(column), 1) | {"maxItems": 1},
            }
        )
        for column in signature.columns
    ]
    each = {"type": "array", "prefixItems": one_row, "items": False, "minItems": len(one_row)}
    optional = {
        "id": {"type": ["string", "null"], "maxLength": MAX_ID},
        "parameters": _PARAMETERS,
        "outputs": _wanted(signature),
    }
    digest = _object({"digest": _TEXT, "revision": _TEXT})
    answer = {
        "model_name": {"const": model},
        "parameters": digest,
        "outputs": _list({"anyOf": [_output(output) for output in signature.outputs]}, 1),
    }
    if version:
        answer["model_version"] = {"const": version}
    return {
        "OneRow": _object({"inputs": each}, optional),
        "Rows": _object({"inputs": _list({"anyOf": _inputs(signature)}, 1)}, optional),
        "InferRequest": {"anyOf": [_reference("OneRow"), _reference("Rows")]},
        "InferAnswer": _object(answer, {"id": _TEXT}),
    }


def _inputs(signature: Signature) -> list[Schema]:
    """One schema per column, and one for all columns by position where none is text."""
    found = []
    for column in signature.columns:
        taken = [kind.value for kind in Datatype if kind in ACCEPTED[column.datatype]]
        found.append(_input({"const": column.name}, taken, 1, _values(column.datatype, missing=column.takes_missing)))
    if signature.is_numeric:
        numbers = {"type": ["number", "boolean", "null"]}
        taken = [kind.value for kind in Datatype if all(kind in ACCEPTED[item.datatype] for item in signature.columns)]
        name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
        if taken:
            found.append(_input(name, taken, len(signature.columns), numbers))
    return found


def _input(name: Schema, taken: list[str], width: int, cell: Schema) -> Schema:
    shape: Schema = {
        "type": "array",
        "prefixItems": [{"type": "integer", "minimum": 1}, {"const": width}],
        "items": False,
        "minItems": 1 if width == 1 else 2,
    }
    data = _list({"anyOf": [cell, _list(cell)]}, 1)
    optional = {"parameters": _PARAMETERS, "data": data}
    return _object({"name": name, "datatype": {"enum": taken}, "shape": shape}, optional)


def _wanted(signature: Signature) -> Schema:
    wanted = _list(_object({"name": {"enum": list(signature.output)}}, {"parameters": _PARAMETERS}))
    return wanted | {"type": ["array", "null"]}


def _output(output: Output) -> Schema:
    return _object(
        {
            "name": {"const": output.name},
            "datatype": {"const": output.datatype.value},
            "shape": _list(_COUNT, 1),
        },
        {"data": _list(_values(output.datatype, missing=False)), "parameters": _PARAMETERS},
    )


def _v1(signature: Signature) -> dict[str, Schema]:
    cells = [_cell(column) for column in signature.columns]
    listed = {"type": "array", "prefixItems": cells, "items": False, "minItems": len(cells)}
    named = _object({column.name: cell for column, cell in zip(signature.columns, cells, strict=True)})
    shapes = [listed, named | {"additionalProperties": False}]
    if len(cells) == 1:
        shapes.append(cells[0])
    return {
        "V1Request": _object({"instances": {"anyOf": [_list(shape, 1) for shape in shapes]}}),
        "V1Answer": _object({"predictions": _list({}, 1)}),
    }
