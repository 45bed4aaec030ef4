"""Models in files are packaged by one command: joblib, skops, an ONNX graph, a directory of MLflow's."""

import csv
import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
import skops.io
import yaml
from onnx import TensorProto, helper
from penstock.cli.main import main
from penstock_serving.jobs import table
from penstock_serving.jobs.mlflow import read_mlflow
from penstock_serving.model import card as cards
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import matrix
from penstock_serving.model.graph import open_graph
from penstock_serving.model.load import load_model
from sklearn.linear_model import LinearRegression, LogisticRegression

RANDOM = np.random.default_rng(2)
FRAME: dict[str, np.ndarray] = {"a": RANDOM.normal(size=60), "b": RANDOM.integers(0, 9, 60)}
LABELS = np.where(FRAME["a"] * 3 + FRAME["b"] > 4, "yes", "no")
MODEL = LogisticRegression().fit(matrix(FRAME), LABELS)


def write_csv(path: Path, columns: Mapping[str, Any]) -> Path:
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(columns)
        rows.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "rows.csv", FRAME | {"answer": LABELS})


def packaging(tmp_path: Path, model: Path, *options: str) -> tuple[int, Path]:
    out = tmp_path / "package"
    return main(["package", str(model), "--out", str(out), *options]), out


def predicts_as_before(directory: Path) -> Any:
    model = load_model(directory, tree_digest(directory))
    np.testing.assert_array_equal(model.method("predict")(matrix(FRAME)), MODEL.predict(matrix(FRAME)))
    return model


def test_a_joblib_file_is_packaged_with_its_card(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joblib.dump(MODEL, tmp_path / "model.joblib")
    said = ["--owner", "Risk", "--purpose", "p", "--cost-of-errors", "c", "--data-version", "v1", "--seed", "2"]
    measured = ["--training-seconds", "1.5", "--training-memory", "1000"]
    options = ["--frame", str(rows), "--label", "answer", "--data", str(rows), "--range", "b=0:10", *said, *measured]
    status, out = packaging(tmp_path, tmp_path / "model.joblib", *options)
    assert status == 0
    assert tree_digest(out) in capsys.readouterr().out
    model = predicts_as_before(out)
    assert model.backend == "onnx"
    assert [column.bounds for column in model.signature.columns] == [None, (0.0, 10.0)]
    assert (out / "model.joblib").read_bytes() == (tmp_path / "model.joblib").read_bytes()
    card = cards.load((out / "card.json").read_bytes())
    assert (card.owner, card.purpose, card.cost_of_errors) == ("Risk", "p", "c")
    assert card.data is not None
    assert card.data.version == "v1"
    assert card.training == cards.Training(seconds=1.5, peak_memory_bytes=1000, seeds=(2,))
    assert {metric.name for metric in card.metrics} == {"accuracy", "log_loss", "roc_auc"}
    assert card.latency is not None
    assert card.latency.backend == "onnx"
    assert card.latency.median_seconds > 0


def test_a_skops_file_is_packaged_as_it_is_and_reproducibly(tmp_path: Path, rows: Path) -> None:
    skops.io.dump(MODEL, tmp_path / "model.skops")
    options = ["--frame", str(rows), "--label", "answer", "--reproducible"]
    status, out = packaging(tmp_path, tmp_path / "model.skops", *options)
    assert status == 0
    first = tree_digest(out)
    out.rename(tmp_path / "first")
    assert packaging(tmp_path, tmp_path / "model.skops", *options)[0] == 0
    assert tree_digest(out) == first
    assert not (out / "model.joblib").exists()
    predicts_as_before(out)


def test_types_of_a_skops_file_that_nobody_trusts_are_told(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    skops.io.dump(KNeighborsClassifier(algorithm="kd_tree").fit(matrix(FRAME), LABELS), tmp_path / "model.skops")
    status, out = packaging(tmp_path, tmp_path / "model.skops", "--frame", str(rows), "--label", "answer")
    assert status != 0
    assert not out.exists()
    told = re.search(r"nobody trusts: (.*?);", capsys.readouterr().err)
    assert told is not None
    trusted = [word for name in told[1].split(", ") for word in ("--trust", name)]
    assert packaging(tmp_path, tmp_path / "model.skops", "--frame", str(rows), "--label", "answer", *trusted)[0] == 0


def test_a_hostile_pickle_that_is_packaged_does_nothing(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cposix\nsystem\n(Vtouch " + str(tmp_path / "ran").encode() + b"\ntR.")
    status, out = packaging(tmp_path, tmp_path / "model.pkl", "--frame", str(rows))
    assert status != 0
    assert not out.exists()
    assert not (tmp_path / "ran").exists()
    assert "penstock package:" in capsys.readouterr().err
    joblib.load(tmp_path / "model.pkl")
    assert (tmp_path / "ran").exists(), "the payload of this test does nothing"


def graph(*, domain: str = "") -> bytes:
    """A graph that doubles one tensor [rows, 2] and adds its columns."""
    weights = helper.make_tensor("weights", TensorProto.DOUBLE, [2, 1], [2.0, 2.0])
    node = helper.make_node("MatMul", ["rows", "weights"], ["variable"], domain=domain)
    inputs = [helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, 2])]
    outputs = [helper.make_tensor_value_info("variable", TensorProto.DOUBLE, [None, 1])]
    made = helper.make_graph([node], "doubled", inputs, outputs, [weights])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)])
    model.ir_version = 9
    return model.SerializeToString()


def test_an_onnx_graph_is_packaged_and_served_as_it_is(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    write_csv(rows, FRAME)
    status, out = packaging(tmp_path, tmp_path / "model.onnx", "--frame", str(rows))
    assert status == 0
    model = load_model(out, tree_digest(out), before_unpickling=pytest.fail)
    assert (model.backend, model.fallback_reason, model.proof) == ("onnx", "", None)
    np.testing.assert_allclose(model.method("predict")(matrix(FRAME)), 2 * matrix(FRAME).sum(axis=1))


def outside() -> bytes:
    """The graph with its weights in another file."""
    model = onnx.load_from_string(graph())
    tensor = model.graph.initializer[0]
    tensor.ClearField("double_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (graph(domain="own"), "operators of 'own'"),
        (outside(), "tensors kept in other files"),
        (graph()[:-30], "damaged|does not take it"),
        (b"hello", "damaged"),
    ],
)
def test_a_graph_that_is_not_whole_in_itself_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BadModelError, match=words):
        open_graph(content)


@pytest.fixture
def mlflow(tmp_path: Path) -> Path:
    """A directory as MLflow 2 and 3 write it."""
    directory = tmp_path / "mlflow"
    directory.mkdir()
    joblib.dump(MODEL, directory / "model.pkl")
    inputs = [{"type": "double", "name": "a", "required": True}, {"type": "long", "name": "b", "required": True}]
    example = {"columns": ["a", "b"], "data": [[float(a), int(b)] for a, b in zip(*FRAME.values(), strict=True)]}
    (directory / "input_example.json").write_text(json.dumps(example))
    document = {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl"},
            "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle", "sklearn_version": "1.9"},
        },
        "signature": {"inputs": json.dumps(inputs), "outputs": None},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
    }
    (directory / "MLmodel").write_text(yaml.safe_dump(document))
    return directory


def test_a_directory_of_mlflow_brings_its_columns_and_an_example(tmp_path: Path, mlflow: Path) -> None:
    status, out = packaging(tmp_path, mlflow)
    assert status == 0
    model = predicts_as_before(out)
    assert [(column.name, column.datatype) for column in model.signature.columns] == [
        ("a", Datatype.FP64),
        ("b", Datatype.INT64),
    ]


def test_the_order_and_types_of_mlflow_s_signature_count(tmp_path: Path, mlflow: Path) -> None:
    shuffled = {"label": LABELS, "b": FRAME["b"].astype(float), "a": FRAME["a"]}
    rows = write_csv(tmp_path / "rows.csv", shuffled)
    rows.write_text(rows.read_text().replace(".0,", ","))
    status, out = packaging(tmp_path, mlflow, "--frame", str(rows), "--label", "label")
    assert status == 0
    assert predicts_as_before(out).signature.names == ("a", "b")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["flavors"].pop("sklearn"), "no flavour 'sklearn'"),
        (lambda found: found["flavors"]["sklearn"].update(pickled_model="../model.pkl"), "is refused"),
        (lambda found: found["signature"].update(inputs="{}x"), "not of named columns"),
        (
            lambda found: found["signature"].update(inputs=json.dumps([{"name": "a", "type": "binary"}])),
            "column 'a' of its signature",
        ),
        (lambda found: found["signature"].update(inputs=json.dumps([{"type": "tensor"}])), "not of named columns"),
        (lambda found: found.update(flavors=[]), "no flavour"),
    ],
)
def test_what_mlflow_keeps_otherwise_is_refused_by_name(mlflow: Path, change: Any, words: str) -> None:
    document = yaml.safe_load((mlflow / "MLmodel").read_text())
    change(document)
    (mlflow / "MLmodel").write_text(yaml.safe_dump(document))
    with pytest.raises(BadModelError, match=words):
        read_mlflow(mlflow)


@pytest.mark.parametrize(
    ("text", "datatype", "values"),
    [
        ("x\n1\n-2\n", Datatype.INT64, [1, -2]),
        ("x,y\n1,\n,\n", Datatype.FP64, [1.0, np.nan]),
        ("x\n1.5\n2\n", Datatype.FP64, [1.5, 2.0]),
        ("x\ntrue\nFalse\n", Datatype.BOOL, [True, False]),
        ("x,y\ntrue,\n,\n", Datatype.BYTES, ["true", None]),
        ("x\nred\n1\n", Datatype.BYTES, ["red", "1"]),
        ("x\nnan\ninf\n", Datatype.BYTES, ["nan", "inf"]),
        ('x\n"a,\nb"\né\n', Datatype.BYTES, ["a,\nb", "é"]),
        ("\ufeffx\n9007199254740993\n1\n", Datatype.FP64, [9007199254740993.0, 1.0]),
    ],
)
def test_a_column_of_a_file_is_what_its_fields_are(
    tmp_path: Path, text: str, datatype: Datatype, values: list[Any]
) -> None:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    column = table.read_csv(tmp_path / "rows.csv")["x"]
    assert table.column_datatype("x", column) is datatype
    np.testing.assert_array_equal(column, np.array(values, dtype=column.dtype))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a first line"),
        ("x\n", "and rows"),
        ("x,x\n1,2\n", "different names"),
        ("x,y\n1\n", "line 2 has 1 fields, the first line 2"),
        ('x\n"1\n', "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(BadModelError, match=words):
        table.read_csv(tmp_path / "rows.csv")


def test_columns_go_through_a_pipe_exactly() -> None:
    texts = np.array(["é", None, ""], dtype=object)
    columns = {
        "double": np.array([0.1, np.nan, 5e-324]),
        "single": np.array([0.1, 3e38, -1], dtype=np.float32),
        "whole": np.array([-(2**63), 2**63 - 1, 0]),
        "truth": np.array([True, False, True]),
        "text": texts,
    }
    back = table.load(table.dump(columns))
    for name, values in columns.items():
        np.testing.assert_array_equal(back[name], values)
        assert back[name].dtype == values.dtype


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--frame is needed"),
        (["--frame", "ROWS", "--label", "no such"], "no column 'no such'"),
        (["--frame", "ROWS", "--label", "answer", "--range", "b"], "is not COLUMN=LOW:HIGH"),
        (["--frame", "ROWS", "--label", "answer", "--golden", "OTHER"], "--golden: the columns"),
        (["--frame", "ROWS", "--label", "answer", "--data", "NOTHING"], "cannot be read"),
    ],
)
def test_what_cannot_be_packaged_is_said_in_one_line(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    joblib.dump(MODEL, tmp_path / "model.joblib")
    other = write_csv(tmp_path / "other.csv", {"z": FRAME["a"]})
    names = {"ROWS": str(rows), "OTHER": str(other), "NOTHING": str(tmp_path / "nothing")}
    status, out = packaging(tmp_path, tmp_path / "model.joblib", *(names.get(option, option) for option in options))
    assert status != 0
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_another_kind_of_file_is_refused(tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = packaging(tmp_path, rows, "--frame", str(rows))
    assert status != 0
    assert "is neither a directory nor one of .joblib" in capsys.readouterr().err


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serving(tmp_path: Path, rows: Path, free_port: int) -> Iterator[subprocess.Popen[str]]:
    joblib.dump(MODEL, tmp_path / "model.joblib")
    status, out = packaging(tmp_path, tmp_path / "model.joblib", "--frame", str(rows), "--label", "answer")
    assert status == 0
    command = [sys.executable, "-m", "penstock.cli.main", "serve", str(out), "--port", str(free_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_a_package_is_served_on_this_machine_and_says_how_to_ask_it(
    serving: subprocess.Popen[str], free_port: int
) -> None:
    assert serving.stdout is not None
    lines = []
    while not lines or "curl" not in lines[-1]:
        lines.append(serving.stdout.readline())
        assert lines[-1], lines
    assert f"http://127.0.0.1:{free_port}/v2/models/package" in lines[0]
    assert any(line.strip() == "backend: onnx" for line in lines)
    words = shlex.split(lines[-1])
    body = words[words.index("-d") + 1]
    url = next(word for word in words if word.startswith("http"))
    connection = http.client.HTTPConnection("127.0.0.1", free_port, timeout=30)
    connection.request("POST", url.partition(str(free_port))[2], body, {"content-type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["outputs"][0]["data"] == [MODEL.predict(matrix(FRAME))[0]]
    serving.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert serving.wait(60) == 0
    assert time.monotonic() - began < 30


def test_a_folder_that_is_no_package_is_not_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "nothing")]) != 0
    assert "is no directory" in capsys.readouterr().err


def test_a_regressor_needs_no_classes(tmp_path: Path) -> None:
    joblib.dump(LinearRegression().fit(matrix(FRAME), FRAME["a"] * 2), tmp_path / "model.joblib")
    rows = write_csv(tmp_path / "rows.csv", FRAME | {"answer": FRAME["a"] * 2})
    options = ["--frame", str(rows), "--label", "answer"]
    status, out = packaging(tmp_path, tmp_path / "model.joblib", *options)
    assert status == 0
    assert {metric.name for metric in cards.load((out / "card.json").read_bytes()).metrics} == {
        "r2",
        "mean_absolute_error",
    }
