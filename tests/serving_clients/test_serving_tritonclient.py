"""tritonclient as it comes, over HTTP and gRPC, blocking and asynchronous, gets scikit-learn's answers."""

import asyncio
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from penstock_serving.model.frame import matrix

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the client's own dependencies
    import tritonclient.grpc as triton_grpc
    import tritonclient.grpc.aio as triton_grpc_aio
    import tritonclient.http as triton_http
    import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

MODULES: dict[str, ModuleType] = {
    "http": triton_http,
    "http.aio": triton_http_aio,
    "grpc": triton_grpc,
    "grpc.aio": triton_grpc_aio,
}
KINDS = {"amount": "FP64", "single": "FP32", "count": "INT64", "member": "BOOL", "country": "BYTES"}
WAYS = [("http", True), ("http", False), ("http.aio", True), ("http.aio", False), ("grpc", True), ("grpc.aio", True)]


def address(served: Any, name: str) -> str:
    return served.grpc if name.startswith("grpc") else served.http.removeprefix("http://")


def talk(served: Any, name: str, body: Callable[[Any], list[Any]]) -> list[Any]:
    """Make the calls of `body` with a client, awaiting them where the client is asynchronous."""
    module = MODULES[name]
    if not name.endswith("aio"):
        client = module.InferenceServerClient(address(served, name))
        try:
            return [call() for call in body(client)]
        finally:
            client.close()

    async def run() -> list[Any]:
        client = module.InferenceServerClient(address(served, name))
        try:
            return [await call() for call in body(client)]
        finally:
            await client.close()

    return asyncio.run(run())


def inputs(name: str, rows: dict[str, np.ndarray], binary: bool) -> list[Any]:
    module, made = MODULES[name], []
    for column, values in rows.items():
        tensor = module.InferInput(column, [len(values)], KINDS[column])
        if name.startswith("grpc"):
            tensor.set_data_from_numpy(values)
        else:
            tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return made


def outputs(name: str, names: list[str], binary: bool) -> list[Any]:
    module = MODULES[name]
    if name.startswith("grpc"):
        return [module.InferRequestedOutput(output) for output in names]
    return [module.InferRequestedOutput(output, binary_data=binary) for output in names]


def text(values: np.ndarray) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]


def without_missing(served: Any) -> dict[str, np.ndarray]:
    """Rows that plain JSON can tell: the client writes NaN, which is no JSON."""
    rows = served.rows(5)
    rows["amount"][0] = 0.5
    return rows


@pytest.mark.parametrize(("name", "binary"), WAYS)
def test_named_outputs_are_scikit_learns(served: Any, name: str, binary: bool) -> None:
    rows = served.rows(5) if binary else without_missing(served)

    def body(client: Any) -> list[Any]:
        asked = outputs(name, ["predict_proba", "predict"], binary)
        return [lambda: client.infer("fraud", inputs(name, rows, binary), outputs=asked, request_id="r-1")]

    [result] = talk(served, name, body)
    table = matrix(rows)
    assert text(result.as_numpy("predict")) == served.estimator.predict(table).tolist()
    np.testing.assert_allclose(result.as_numpy("predict_proba"), served.estimator.predict_proba(table), atol=2e-6)
    answer = result.get_response()
    assert (answer["id"] if isinstance(answer, dict) else answer.id) == "r-1"


@pytest.mark.parametrize(("name", "binary"), WAYS)
def test_without_named_outputs_the_default_comes(served: Any, name: str, binary: bool) -> None:
    rows = without_missing(served)
    [result] = talk(served, name, lambda client: [lambda: client.infer("fraud", inputs(name, rows, binary))])
    assert text(result.as_numpy("predict")) == served.estimator.predict(matrix(rows)).tolist()
    assert result.as_numpy("predict_proba") is None


@pytest.mark.parametrize("name", MODULES)
def test_the_models_version_is_its_revision(served: Any, name: str) -> None:
    rows = without_missing(served)

    def body(client: Any) -> list[Any]:
        return [lambda: client.infer("fraud", inputs(name, rows, True), model_version="fraud-7")]

    [result] = talk(served, name, body)
    answer = result.get_response()
    assert (answer["model_version"] if isinstance(answer, dict) else answer.model_version) == "fraud-7"


@pytest.mark.parametrize("name", MODULES)
def test_health_metadata_index_and_statistics(served: Any, name: str) -> None:
    def body(client: Any) -> list[Any]:
        return [
            client.is_server_live,
            client.is_server_ready,
            lambda: client.is_model_ready("fraud"),
            lambda: client.is_model_ready("fraud", "fraud-7"),
            client.get_server_metadata,
            lambda: client.get_model_metadata("fraud"),
            client.get_model_repository_index,
            lambda: client.get_inference_statistics("fraud"),
        ]

    *flags, server, model, index, statistics = talk(served, name, body)
    assert flags == [True] * 4
    if name.startswith("grpc"):
        assert server.name == "penstock"
        assert [(item.name, item.datatype) for item in model.inputs] == list(KINDS.items())
        assert [(item.name, item.state) for item in index.models] == [("fraud", "READY")]
        assert statistics.model_stats[0].name == "fraud"
    else:
        assert server["name"] == "penstock"
        assert [(item["name"], item["datatype"]) for item in model["inputs"]] == list(KINDS.items())
        assert [(item["name"], item["state"]) for item in index] == [("fraud", "READY")]
        assert statistics["model_stats"][0]["name"] == "fraud"


@pytest.mark.parametrize("name", MODULES)
def test_errors_reach_the_caller_in_words(served: Any, name: str) -> None:
    rows = without_missing(served)
    country = rows.pop("country")

    def body(client: Any) -> list[Any]:
        return [lambda: client.infer("fraud", inputs(name, rows, True))]

    with pytest.raises(InferenceServerException, match="input 'country' is missing"):
        talk(served, name, body)
    rows["country"] = np.full_like(country, "Atlantis")
    with pytest.raises(InferenceServerException, match="takes only the categories"):
        talk(served, name, body)
    with pytest.raises(InferenceServerException, match="there is no model 'other'"):
        talk(served, name, lambda client: [lambda: client.get_model_metadata("other")])


@pytest.mark.parametrize("name", MODULES)
def test_many_at_once_get_their_own_answers(served: Any, name: str) -> None:
    """Each caller gets its own rows, whatever was computed together."""
    table = matrix(served.frame)
    labels = served.estimator.predict(table).tolist()
    pieces = [{column: values[n : n + 1] for column, values in served.frame.items()} for n in range(len(labels))]

    async def together() -> list[Any]:
        client = MODULES[name].InferenceServerClient(address(served, name))
        try:
            return await asyncio.gather(*(client.infer("fraud", inputs(name, piece, True)) for piece in pieces))
        finally:
            await client.close()

    if name.endswith("aio"):
        results = asyncio.run(together())
    else:
        calls = [lambda client, piece=piece: client.infer("fraud", inputs(name, piece, True)) for piece in pieces]
        results = talk(served, name, lambda client: [lambda call=call: call(client) for call in calls])
    assert [text(result.as_numpy("predict"))[0] for result in results] == labels
