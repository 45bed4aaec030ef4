"""A server process of a model that was fitted on a DataFrame with times, categories and missing values."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pandas as pd
import pytest
from penstock_serving import contract
from penstock_serving.protocol import open_inference_pb2 as pb
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from time_features import hours

from tests.serving.conftest import model_infer

RANDOM = np.random.default_rng(11)
ROWS = 120
INFER = "/v2/models/fraud/infer"
TIMES = ["2026-01-31T09:30:00", None, "2026-02-01"]
TEXTS = ["red", "blue", "unseen"]
AMOUNTS = [1.0, 50.0, 99.5]
"""One request's rows; `truth` are they as the model itself takes them."""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "at": pd.date_range("2026-01-01", periods=ROWS, freq="77min").where(RANDOM.random(ROWS) > 0.1),
            "colour": pd.Series(RANDOM.choice(["red", "green", "blue"], ROWS), dtype="category"),
            "amount": RANDOM.normal(50, 20, ROWS),
        }
    )


@pytest.fixture(scope="module")
def estimator(frame: pd.DataFrame) -> Any:
    columns = make_column_transformer(
        (FunctionTransformer(hours), ["at"]),
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]),
        (StandardScaler(), ["amount"]),
    )
    wanted = np.where(frame["at"].dt.hour.fillna(0) * 3 + frame["amount"] > 80, "late", "early")
    return make_pipeline(columns, LogisticRegression()).fit(frame, wanted)


@pytest.fixture(scope="module")
def truth(frame: pd.DataFrame, estimator: Any) -> list[str]:
    colours = pd.Categorical(TEXTS, categories=["blue", "green", "red", "unseen"])
    asked = pd.DataFrame({"at": pd.to_datetime(pd.Series(TIMES), format="ISO8601"), "colour": colours})
    answers: list[str] = estimator.predict(asked.assign(amount=AMOUNTS)).tolist()
    return answers


@pytest.fixture(scope="module")
def served(
    frame: pd.DataFrame, estimator: Any, pack: Callable[..., Any], serving: Callable[..., Any], grpc_port: int
) -> Iterator[Any]:
    with serving(pack(estimator, frame), **{contract.ENV_GRPC_PORT: str(grpc_port)}) as found:
        yield found


def request(times: Any = TIMES, **more: Any) -> dict[str, Any]:
    shape = [len(times)]
    return {
        "inputs": [
            {"name": "at", "datatype": "BYTES", "shape": shape, "data": times, **more},
            {"name": "colour", "datatype": "BYTES", "shape": shape, "data": TEXTS[: len(times)]},
            {"name": "amount", "datatype": "FP64", "shape": shape, "data": AMOUNTS[: len(times)]},
        ]
    }


def test_answers_are_the_model_s_own(served: Any, truth: list[str]) -> None:
    for asked in (request(), request(parameters={"content_type": "datetime"})):
        answer = httpx.post(served.url + INFER, json=asked)
        assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, truth)
    rows = [dict(zip(("at", "colour", "amount"), row, strict=True)) for row in zip(TIMES, TEXTS, AMOUNTS, strict=True)]
    assert httpx.post(f"{served.url}/v1/models/fraud:predict", json={"instances": rows}).json()["predictions"] == truth


def test_one_row_is_as_good_as_several(served: Any, truth: list[str]) -> None:
    answer = httpx.post(served.url + INFER, json=request(TIMES[:1]))
    assert answer.json()["outputs"][0]["data"] == truth[:1]


def test_answers_over_grpc_are_the_model_s_own(served: Any, grpc_port: int, truth: list[str]) -> None:
    asked = pb.ModelInferRequest(model_name="fraud")
    for name, values in (("at", [TIMES[0], TIMES[2]]), ("colour", [TEXTS[0], TEXTS[2]])):
        contents = pb.InferTensorContents(bytes_contents=[value.encode() for value in values])
        asked.inputs.add(name=name, datatype="BYTES", shape=[2], contents=contents)
    amounts = pb.InferTensorContents(fp64_contents=[AMOUNTS[0], AMOUNTS[2]])
    asked.inputs.add(name="amount", datatype="FP64", shape=[2], contents=amounts)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        answer = model_infer(channel)(asked, timeout=30)
        about = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelMetadata",
            request_serializer=pb.ModelMetadataRequest.SerializeToString,
            response_deserializer=pb.ModelMetadataResponse.FromString,
        )(pb.ModelMetadataRequest(name="fraud"), timeout=30)
    assert answer.outputs[0].contents.bytes_contents == [truth[0].encode(), truth[2].encode()]
    assert [tensor.name for tensor in about.inputs] == ["at", "colour", "amount"]


def test_a_text_that_is_no_time_is_refused_and_the_server_goes_on(served: Any, truth: list[str]) -> None:
    for text in ("tomorrow", "2026-01-31T09:30:00Z", "2026-13-01", ""):
        answer = httpx.post(served.url + INFER, json=request([text]))
        assert (answer.status_code, answer.headers[contract.HEADER_REFUSED]) == (400, "1")
        assert "input 'at' takes times in ISO 8601 without an offset" in answer.json()["error"]
    assert httpx.post(served.url + INFER, json=request()).json()["outputs"][0]["data"] == truth


def test_metadata_and_openapi_tell_which_text_is_a_time(served: Any) -> None:
    about = httpx.get(f"{served.url}/v2/models/fraud").json()
    assert about["inputs"][0]["parameters"] == {"content_type": "datetime"}
    assert about["properties"]["backend"] == "scikit-learn"
    one_row = httpx.get(f"{served.url}/v2/openapi.json").json()["components"]["schemas"]["OneRow"]
    cell = one_row["properties"]["inputs"]["prefixItems"][0]["properties"]["data"]["items"]
    assert cell["pattern"].startswith("^")


def test_the_model_is_explained_column_by_column(served: Any, talker: Callable[[int], Any], wait: Any) -> None:
    with talker(served.port) as caller:
        path, asked = "/v2/models/fraud/explain", request(TIMES[:1])
        answer = wait(lambda: (found := caller.post(path, asked))[0] == 200 and found[2], 120)
    shapes = {output["name"]: output["shape"] for output in answer["outputs"]}
    assert shapes["contributions"][:2] == [1, 3]


def test_pandas_is_in_memory_only_where_a_dataframe_is_wanted(
    served: Any, served_logistic: Any, pack: Callable[..., Any], serving: Callable[..., Any]
) -> None:
    def maps(one: Any) -> str:
        return Path(f"/proc/{one.server.pid}/maps").read_text()

    assert "/pandas/" in maps(served)
    columns = {"a": np.arange(30.0), "b": np.arange(30.0)[::-1].copy()}
    model = KNeighborsClassifier(3).fit(pd.DataFrame(columns), np.arange(30) % 2)
    with serving(pack(model, columns)) as fallback:
        assert "/sklearn/" in maps(fallback)
        assert "/pandas/" not in maps(fallback)
    assert "/sklearn/" not in maps(served_logistic)
    assert "/pandas/" not in maps(served_logistic)
