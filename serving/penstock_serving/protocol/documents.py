"""What a server says of itself and of its model, in the protocol's JSON: metadata, versions, index, statistics.

A model's only version is its revision. A server that was given none has no versions: it leaves `model_version` out of
its answers and `versions` out of its metadata (inference_rest.md, "Inference Response JSON Object"), and every path with
`/versions/` is unknown to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Signature
from penstock_serving.protocol.errors import BadRequestError, RequestError
from penstock_serving.protocol.v2 import parse_json

NO_REVISION = "none"
SERVER = "penstock"
EXTENSIONS = ("binary_tensor_data", "model_repository", "statistics")


def version_of(revision: str) -> str:
    """The model's version: its revision; empty when it has none."""
    return "" if revision == NO_REVISION else revision


def require_version(asked: str, version: str, model: str) -> None:
    """Raise `RequestError` (404) unless the version asked for, if any, is the model's."""
    if asked and asked != version:
        has = f"only {version!r}" if version else "it has no versions"
        raise RequestError(404, f"model {model!r} has no version {asked[:128]!r} here: {has}")


def server_metadata(version: str) -> dict[str, Any]:
    """The server's metadata (inference_rest.md, "Server Metadata")."""
    return {"name": SERVER, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(
    model: str,
    signature: Signature,
    properties: Mapping[str, str],
    version: str = "",
    platform: str = "sklearn_joblib",
) -> dict[str, Any]:
    """The model's metadata (inference_rest.md, "Model Metadata"): its columns as inputs, its outputs, its origin."""
    document: dict[str, Any] = {"name": model}
    if version:
        document["versions"] = [version]
    document["platform"] = platform
    document["inputs"] = [_tensor(column.name, column.datatype, 0) | _content(column) for column in signature.columns]
    document["outputs"] = [_tensor(output.name, output.datatype, output.width) for output in signature.outputs]
    document["properties"] = dict(properties)
    return document


def _tensor(name: str, datatype: Datatype, width: int) -> dict[str, Any]:
    """A tensor's metadata; -1 stands for any number of rows."""
    return {"name": name, "datatype": datatype.value, "shape": [-1, width] if width else [-1]}


def _content(column: Column) -> dict[str, Any]:
    """What a column's datatype does not say of its values, as a codec's content type (MLServer, "Content Types")."""
    return {"parameters": {"content_type": "datetime"}} if column.is_time else {}


def only_ready(body: bytes) -> bool:
    """Whether an index request asks for ready models only; an empty body asks for all. Raises `BadRequestError`."""
    document = parse_json(body) if body else {}
    asked = document.get("ready", False) if isinstance(document, dict) else None
    if not isinstance(asked, bool):
        raise BadRequestError('the body is neither empty nor {"ready": true or false}')
    return asked


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the repository's index: whether it is ready, and why not (empty when it is)."""

    model: str
    version: str
    why_not: str


def repository_index(entry: Entry, ready_only: bool) -> list[dict[str, str]]:  # noqa: FBT001  (the request's field)
    """The index (Triton, docs/protocol/extension_model_repository.md, "Index"): the one model of this server."""
    if entry.why_not and ready_only:
        return []
    document = {"name": entry.model}
    if entry.version:
        document["version"] = entry.version
    state = "UNAVAILABLE" if entry.why_not else "READY"
    return [document | {"state": state, "reason": entry.why_not}]


@dataclass(frozen=True, slots=True)
class Span:
    """How often something was done, and the nanoseconds it took in all."""

    count: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the model has done since the server started.

    `last_inference` is in milliseconds since the epoch (0 for never); `inferences` counts rows, `executions` calls of
    the model, which differ when requests were batched; `batches` maps rows at once to the calls of that size.
    """

    last_inference: int
    inferences: int
    executions: int
    success: Span
    fail: Span
    queue: Span
    compute_input: Span
    compute_infer: Span
    compute_output: Span
    batches: Mapping[int, Span]


def statistics(model: str, version: str, found: Statistics) -> dict[str, Any]:
    """The statistics (Triton, docs/protocol/extension_statistics.md) of the one model of this server."""
    document: dict[str, Any] = {"name": model, "version": version} if version else {"name": model}
    document |= {
        "last_inference": found.last_inference,
        "inference_count": found.inferences,
        "execution_count": found.executions,
        "inference_stats": {
            "success": _span(found.success),
            "fail": _span(found.fail),
            "queue": _span(found.queue),
            "compute_input": _span(found.compute_input),
            "compute_infer": _span(found.compute_infer),
            "compute_output": _span(found.compute_output),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": _span(span)} for size, span in sorted(found.batches.items())
        ],
    }
    return {"model_stats": [document]}


def _span(span: Span) -> dict[str, int]:
    return {"count": span.count, "ns": span.nanoseconds}
