"""What a compiled model is opened from, and what is refused: the artifact may come from anyone."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from penstock_serving.compile import plan_json
from penstock_serving.compile.opening import open_bytes, open_compiled
from penstock_serving.compile.wire import MalformedError, contents
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import ONNX_FILE
from penstock_serving.model.signature_json import dump as dump_signature
from sklearn import ensemble, linear_model, preprocessing
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data


@pytest.fixture(scope="module")
def packaged():
    """A proven model, its estimator, signature and rows."""
    estimator = make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    model = data.proven(estimator, data.numeric(), data.TWO).model
    return model, *data.fitted(estimator, data.numeric(), data.TWO)


def changed(model, change):
    """The bytes of a model after a change."""
    parsed = onnx.load_model_from_string(model)
    change(parsed)
    return parsed.SerializeToString()


def test_methods_answer_in_scikit_learns_shapes_and_dtypes(packaged, tmp_path):
    model, estimator, signature, rows = packaged
    (tmp_path / ONNX_FILE).write_bytes(model)
    methods = open_compiled(tmp_path, signature)
    assert set(methods) == {"predict", "predict_proba", "decision_function"}
    for name, method in methods.items():
        for asked in (rows[:1], rows):
            ours, theirs = method(asked), getattr(estimator, name)(asked)
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_scikit_learn_refuses_raise_value_error(packaged, value):
    model, _, signature, rows = packaged
    asked = rows[:3].copy()
    asked[1, 2] = value
    with pytest.raises(ValueError, match="does not take"):
        open_bytes(model, signature)["predict"](asked)


def test_a_number_beyond_single_precision_is_refused_by_trees_as_by_scikit_learn():
    estimator = ensemble.RandomForestRegressor(3, random_state=0)
    model = data.proven(estimator, data.numeric(), data.TARGET).model
    estimator, signature, rows = data.fitted(estimator, data.numeric(), data.TARGET)
    asked = rows[:2].copy()
    asked[0, 0] = 1e39
    for method in (estimator.predict, open_bytes(model, signature)["predict"]):
        with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"too large|does not take"):
            method(asked)


def test_opening_and_answering_imports_neither_scikit_learn_nor_onnx(packaged, tmp_path):
    model, _, signature, rows = packaged
    (tmp_path / ONNX_FILE).write_bytes(model)
    (tmp_path / "signature.json").write_bytes(dump_signature(signature))
    np.save(tmp_path / "rows.npy", rows[:4])
    program = (
        "import sys, pathlib, numpy\n"
        "from penstock_serving.compile.opening import open_compiled\n"
        "from penstock_serving.compile import proof_json\n"
        "from penstock_serving.model.signature_json import load\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "methods = open_compiled(home, load((home / 'signature.json').read_bytes()))\n"
        "assert len(methods['predict'](numpy.load(home / 'rows.npy'))) == 4\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert not {"sklearn", "scipy", "joblib", "pandas", "onnx", "pickletools"} & set(done.stdout.split())


def _unknown_operator(model):
    model.graph.node[0].op_type = "Det"


def _own_domain(model):
    model.graph.node[0].domain = "com.example"


def _nested_graph(model):
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", model.graph))


def _external_tensor(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret"


def _function(model):
    model.functions.add().name = "f"


def _newer_opset(model):
    model.opset_import[0].version = 22


def _unknown_opset(model):
    model.opset_import.add(domain="com.example", version=1)


def _no_nodes(model):
    del model.graph.node[:]


def _no_plan(model):
    del model.metadata_props[:]


def _fewer_columns(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5


def _single_precision(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def _output_gone(model):
    del model.graph.output[0]


@pytest.mark.parametrize(
    "change",
    [
        _unknown_operator,
        _own_domain,
        _nested_graph,
        _external_tensor,
        _function,
        _newer_opset,
        _unknown_opset,
        _no_nodes,
        _no_plan,
        _fewer_columns,
        _single_precision,
        _output_gone,
    ],
    ids=lambda change: change.__name__[1:],
)
def test_a_model_that_the_compiler_did_not_write_is_refused(packaged, change):
    model, _, signature, _ = packaged
    with pytest.raises(BadModelError, match="package the model again"):
        open_bytes(changed(model, change), signature)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x80\x04pickle", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 40])
def test_bytes_that_are_no_model_are_refused(packaged, content):
    _, _, signature, _ = packaged
    with pytest.raises(BadModelError, match="package the model again"):
        open_bytes(content, signature)


def test_every_cut_of_a_model_is_refused_or_malformed(packaged):
    model, _, signature, _ = packaged
    for size in range(0, len(model) - 1, 97):
        with pytest.raises(BadModelError):
            open_bytes(model[:size], signature)


def test_a_missing_file_is_named(packaged, tmp_path):
    _, _, signature, _ = packaged
    with pytest.raises(BadModelError, match=r"model\.onnx cannot be read"):
        open_compiled(tmp_path, signature)


def test_the_reader_finds_what_the_onnx_package_finds(packaged):
    model, *_ = packaged
    parsed = onnx.load_model_from_string(model)
    found = contents(model)
    assert found.operators == {(node.domain, node.op_type) for node in parsed.graph.node}
    assert found.opsets == {opset.domain: opset.version for opset in parsed.opset_import}
    assert not found.peculiar


def test_endless_numbers_are_malformed():
    with pytest.raises(MalformedError):
        contents(b"\xff" * 11)


PLAN = '{"columns": 2, "text": [{"position": 1, "values": ["a", null]}], "safe": 1.0, "methods": [%s]}'
METHOD = '{"name": "predict", "dtype": "<f8", "labels": []}'


def test_a_plan_is_read_back_as_written():
    plan = plan_json.load(PLAN % METHOD)
    assert plan_json.load(plan_json.dump(plan)) == plan


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        PLAN % "",
        PLAN % (METHOD + "," + METHOD),
        PLAN % METHOD.replace("predict", "fit"),
        PLAN % METHOD.replace("<f8", "<f16"),
        PLAN % METHOD.replace("[]", '["a", 1]'),
        PLAN % METHOD.replace("[]", "[null]"),
        (PLAN % METHOD).replace('"columns": 2', '"columns": -1'),
        (PLAN % METHOD).replace('"columns": 2', '"columns": true'),
        (PLAN % METHOD).replace('"position": 1', '"position": 2'),
        (PLAN % METHOD).replace('"a", null', '"a", "a"'),
        (PLAN % METHOD).replace('"a", null', "1"),
        (PLAN % METHOD).replace("1.0", "-1"),
        (PLAN % METHOD).replace("1.0", "NaN"),
        (PLAN % METHOD).replace("1.0", "1e999"),
        "[" * 100_000,
    ],
)
def test_a_damaged_plan_is_refused(content):
    with pytest.raises(BadModelError, match="metadata is damaged"):
        plan_json.load(content)
