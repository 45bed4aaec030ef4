"""Models that were fitted on a DataFrame are asked by one: of the same columns, order and dtypes as in training."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.cli.main import main
from penstock_serving.compile.opening import open_bytes
from penstock_serving.compile.proof import compile_and_prove
from penstock_serving.compile.result import Proven
from penstock_serving.jobs.columns import datatypes, plain
from penstock_serving.jobs.package import package
from penstock_serving.jobs.positions import positioned
from penstock_serving.jobs.reference import read_signature
from penstock_serving.jobs.suit import suited
from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, assemble
from penstock_serving.model.load import Golden, Model, load_model, of_estimator
from penstock_serving.model.signature_json import dump, load
from penstock_serving.protocol import v2
from penstock_serving.protocol.documents import model_metadata
from penstock_serving.protocol.errors import ModelRefusalError
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

RANDOM = np.random.default_rng(7)
ROWS = 200
FRAME = pd.DataFrame(
    {
        "amount": RANDOM.lognormal(3, 1, ROWS),
        "age": RANDOM.integers(18, 80, ROWS),
        "country": RANDOM.choice(["de", "fr", "us"], ROWS),
        "vip": RANDOM.random(ROWS) > 0.5,
        "income": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(50, 10, ROWS)),
        "city": pd.Series(
            [None if number < 0.1 else "abcd"[int(number * 4)] for number in RANDOM.random(ROWS)], dtype="str"
        ),
    }
)
LABELS = np.where((FRAME["amount"] > 20) ^ (FRAME["country"] == "de"), "yes", "no")
NUMBERS, WORDS = ["amount", "age", "income"], ["country", "city"]


class HourOf:
    """Takes times and gives their hours; wants a Series of them."""

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.apply(lambda series: series.dt.hour + series.dt.minute / 60)


def by_name(last: Any, numbers: Any = NUMBERS, words: Any = WORDS) -> Any:
    filled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    coded = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)
    return make_pipeline(
        ColumnTransformer([("n", filled, numbers), ("w", coded, words), ("v", "passthrough", ["vip"])]), last
    )


def served(model: Any, frame: Frame, folder: Path, **more: Any) -> Model:
    return load_model(folder / "model", package(model, frame, folder / "model", **more))


def uncompiled(folder: Path) -> Model:
    """The package as it is served without its compiled form."""
    (folder / "model" / "model.onnx").unlink()
    return load_model(folder / "model", tree_digest(folder / "model"))


def asked(model: Model, frame: pd.DataFrame) -> Matrix:
    """The default output for a request that names these columns."""
    inputs = []
    for name, column in frame.items():
        kind = next(one for one in model.signature.columns if one.name == name).datatype
        cells = [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]
        data = [cell.isoformat() if isinstance(cell, pd.Timestamp) else cell for cell in cells]
        inputs.append({"name": name, "datatype": kind.value, "shape": [len(data)], "data": data})
    call = v2.decode_call(json.dumps({"inputs": inputs}).encode(), None, model.signature)
    return np.asarray(model.method(model.signature.default_output)(call.matrix))


@pytest.mark.parametrize(
    "estimator",
    [
        by_name(LogisticRegression(max_iter=500)),
        by_name(RandomForestClassifier(20, random_state=0)),
        by_name(
            LogisticRegression(max_iter=500),
            make_column_selector(dtype_include="number"),
            make_column_selector(dtype_exclude=["number", "bool"]),
        ),
        by_name(LogisticRegression(max_iter=500)).set_output(transform="pandas"),
        GridSearchCV(by_name(LogisticRegression(max_iter=500)), {"logisticregression__C": [0.1, 1]}, cv=2),
    ],
    ids=["names", "a forest", "selectors of dtypes", "steps that hand over DataFrames", "a search"],
)
def test_a_pipeline_that_selects_by_name_is_compiled_and_is_served_alike_without(
    estimator: Any, tmp_path: Path
) -> None:
    estimator.fit(FRAME, LABELS)
    model = served(estimator, FRAME, tmp_path)
    assert (model.backend, model.signature.is_frame) == ("onnx", True), model.fallback_reason
    assert isinstance(model.explainer, bytes)
    np.testing.assert_array_equal(asked(model, FRAME), estimator.predict(FRAME))
    still = uncompiled(tmp_path)
    assert still.backend == "scikit-learn"
    np.testing.assert_array_equal(still.method("predict_proba")(_matrix(FRAME)), estimator.predict_proba(FRAME))


def test_gradient_boosting_over_categories_of_a_frame_is_compiled(tmp_path: Path) -> None:
    frame = FRAME.astype({"country": "category", "city": "category"})
    estimator = HistGradientBoostingClassifier(max_iter=20).fit(frame, LABELS)
    model = served(estimator, frame, tmp_path)
    assert model.backend == "onnx"
    assert [column.series.levels for column in model.signature.columns if column.series and column.series.levels] == [
        ("de", "fr", "us"),
        ("a", "b", "c", "d"),
    ]
    np.testing.assert_array_equal(asked(model, frame), estimator.predict(frame))
    unseen = frame.astype({"country": "str"}).assign(country="zz")
    np.testing.assert_array_equal(
        asked(uncompiled(tmp_path), unseen),
        estimator.predict(
            unseen.astype({"country": pd.CategoricalDtype(["de", "fr", "us", "zz"]), "city": "category"})
        ),
    )


def test_times_travel_as_iso_8601(tmp_path: Path) -> None:
    frame = FRAME[["amount"]].assign(at=pd.date_range("2026-01-01", periods=ROWS, freq="37min"))
    hours = FunctionTransformer(HourOf())
    estimator = make_pipeline(
        ColumnTransformer([("h", hours, ["at"]), ("n", StandardScaler(), ["amount"])]), LogisticRegression()
    )
    model = served(estimator.fit(frame, LABELS), frame, tmp_path)
    assert model.backend == "scikit-learn"
    np.testing.assert_array_equal(asked(model, frame), estimator.predict(frame))
    assert model.signature.columns[1].is_time


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        (
            "datetime64[us]",
            ["2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:00.123456"],
            ["2026-01-31T12:00:00Z"],
        ),
        (
            "datetime64[ns, Europe/Berlin]",
            ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+05:30"],
            ["2026-01-31T13:00:00"],
        ),
        ("datetime64[ns]", ["1678-01-01", "2261-12-31"], ["1500-01-01", "9999-12-31"]),
        (
            "datetime64[s]",
            ["0002-01-01", "9998-12-31"],
            ["0000-01-01", "2026-02-30", "2026-01-01T24:00:01", "2026-01-01T00:00:00.5"],
        ),
    ],
)
def test_a_time_that_is_none_is_refused_and_the_column_named(dtype: str, good: list[str], bad: list[str]) -> None:
    zone = dtype.partition(", ")[2].rstrip("]") or None
    frame = pd.DataFrame({"at": pd.Series(pd.date_range("2026-01-01", periods=9, freq="h", tz=zone)).astype(dtype)})
    model = _model(Hours(), frame)
    asked_of = {"inputs": [{"name": "at", "datatype": "BYTES", "shape": [1], "data": good}]}
    for text in good:
        asked_of["inputs"][0]["data"] = [text]
        call = v2.decode_call(json.dumps(asked_of).encode(), None, model.signature)
        assert np.isfinite(model.method("predict")(call.matrix)).all()
    for text in [*bad, "", "now", "2026-1-1", "20260131", "2026-01-31T12:00:00\n", "٢٠٢٦-01-31", "2026-01-31T1:00"]:
        asked_of["inputs"][0]["data"] = [text]
        with pytest.raises(ModelRefusalError, match="input 'at' takes times in ISO 8601 with") as refusal:
            v2.decode_call(json.dumps(asked_of).encode(), None, model.signature)
        assert not text or text not in str(refusal.value)


class Hours:
    """Sums up the hours of its only column of times; where one is missing, 0."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return rows["at"].dt.hour.fillna(0).to_numpy(dtype=np.float64)


def test_metadata_tell_which_text_is_a_time() -> None:
    frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=9, freq="h")})
    described = model_metadata("m", _model(Hours(), frame).signature, {})["inputs"]
    assert described == [{"name": "at", "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "datetime"}}]


class Named:
    """Reads a column by its name."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return rows["a"].to_numpy()


def test_a_model_that_reads_its_columns_by_name_needs_no_fitted_names(tmp_path: Path) -> None:
    frame = {"b": np.arange(9.0), "a": np.arange(9.0) * 2}
    model = served(Named(), frame, tmp_path)
    np.testing.assert_array_equal(asked(model, pd.DataFrame(frame)), frame["a"])


def test_numbers_alone_need_no_frame_and_no_pandas(tmp_path: Path) -> None:
    frame = FRAME[["amount", "age"]]
    model = served(LogisticRegression().fit(frame, LABELS), frame, tmp_path)
    assert not model.signature.is_frame


def test_columns_are_served_in_the_order_that_the_model_was_fitted_on(tmp_path: Path) -> None:
    fitted = FRAME[["amount", "age"]]
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(fitted, LABELS)
    model = served(estimator, FRAME[["age", "amount"]], tmp_path)
    assert model.signature.names == ("amount", "age")
    np.testing.assert_array_equal(asked(model, fitted), estimator.predict(fitted))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["amount"], "the model was fitted on a column 'age', which the frame does not have"),
        (
            ["amount", "age", "income"],
            "the frame has a column 'income', which the model was not fitted on; leave it out",
        ),
    ],
)
def test_columns_that_are_not_the_model_s_are_named(columns: list[str], words: str, tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(FRAME[["amount", "age"]], LABELS)
    with pytest.raises(BadModelError, match=words):
        package(estimator, FRAME[columns], tmp_path / "model")


@pytest.mark.parametrize("missing", [None, np.nan], ids=["None", "NaN"])
def test_a_missing_text_is_what_it_was_in_training(missing: Any, tmp_path: Path) -> None:
    words = pd.Series(np.array([missing, "a", "b"] * 20, dtype=object), dtype="object")
    frame = pd.DataFrame({"word": words, "x": np.arange(60.0)})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=9)
    estimator = make_pipeline(ColumnTransformer([("w", encoder, ["word"])]), RandomForestClassifier(5, random_state=0))
    model = served(estimator.fit(frame, words.isna()), frame, tmp_path)
    assert model.backend == "onnx"
    assert asked(model, frame).tolist() == words.isna().tolist()
    assert asked(uncompiled(tmp_path), frame).tolist() == words.isna().tolist()


DTYPES: dict[str, list[Any]] = {
    "bool": [True, False],
    "boolean": [True, None],
    "int8": [-128, 127],
    "uint16": [0, 65535],
    "int64": [-(2**53) + 1, 2**53 - 1],
    "Int8": [-128, 127],
    "Int32": [1, None],
    "UInt64": [2**53 - 1, None],
    "float32": [0.1, None],
    "float64": [0.1, -1e300],
    "Float32": [0.1, None],
    "Float64": [0.1, None],
    "str": ["a", None],
    "string": ["é", None],
    "object": ["a", None],
    "datetime64[s]": ["2026-01-31T12:00:00", None],
    "datetime64[ms]": ["2026-01-31T12:00:00.5", None],
    "datetime64[ns]": ["2026-01-31T12:00:00.123456789", None],
    "datetime64[us, Europe/Berlin]": ["2026-01-31T12:00:00Z", None],
    "datetime64[ns, UTC]": ["2026-01-31T12:00:00Z", None],
}


def column(dtype: str) -> "pd.Series[Any]":
    values = DTYPES[dtype]
    if dtype.startswith("datetime64"):
        return pd.Series(pd.to_datetime(pd.Series(values), utc="," in dtype)).astype(dtype)
    return pd.Series(values, dtype=dtype)


@pytest.mark.parametrize("beside", ["float64", "str"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_frame_comes_back_from_a_matrix_as_it_was(dtype: str, beside: str) -> None:
    frame = pd.DataFrame({"x": column(dtype), "beside": column(beside)})
    pd.testing.assert_frame_equal(framed(frame).given(_matrix(frame)), frame)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_category_keeps_its_levels_their_order_and_one_more_for_what_was_never_seen(ordered: bool) -> None:
    dtype = pd.CategoricalDtype(["S", "M", "L"], ordered=ordered)
    frame = pd.DataFrame({"x": pd.Series(["L", None, "S"], dtype=dtype)})
    model = framed(frame)
    made = model.given(np.array([["L"], [None], ["S"], ["XL"], ["XS"]], dtype=object))["x"]
    assert made.cat.codes.tolist() == [2, -1, 0, 3, 3]
    assert made.cat.ordered == ordered
    assert model.given(np.array([["XS"]], dtype=object))["x"].cat.codes.tolist() == [3]


NARROW = ["int8", "uint8", "int16", "int64", "Int8", "UInt16", "Int64", "bool", "boolean"]


@pytest.mark.parametrize("dtype", NARROW)
@given(
    number=st.integers(-(2**53) + 1, 2**53 - 1) | st.sampled_from([-129, -1, 0, 1, 2, 127, 128, 255, 256, 65536, None])
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
def test_a_number_reaches_the_model_as_it_is_or_is_refused_by_the_column_s_name(dtype: str, number: int | None) -> None:
    frame = pd.DataFrame({"x": pd.Series([0, 1, 1], dtype=dtype), "t": ["a", "b", "a"]})
    model = _model(Given(), frame)
    kind = model.signature.columns[0].datatype
    value = number if number is None or kind is not Datatype.BOOL else bool(number % 2)
    inputs = [
        {"name": "x", "datatype": kind.value, "shape": [1], "data": [value]},
        {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["a"]},
    ]
    content = json.dumps({"inputs": inputs}).encode()
    held = np.iinfo(dtype.lower()) if kind is Datatype.INT64 else None
    beyond = number is not None and held is not None and not held.min <= number <= held.max
    if beyond or (number is None and not model.signature.columns[0].takes_missing):
        with pytest.raises(ModelRefusalError, match="input 'x'"):
            v2.decode_call(content, None, model.signature)
        return
    call = v2.decode_call(content, None, model.signature)
    told = model.method("predict")(call.matrix).tolist()
    assert told == [f"{value!r} {dtype}" if value is not None else f"None {dtype}"]


class Given:
    """Tells what stands in its first column, and the dtype of it."""

    def predict(self, rows: pd.DataFrame) -> Any:
        values = rows.iloc[:, 0]
        listed = [None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)]
        return np.array([f"{value!r} {values.dtype}" for value in listed], dtype=object)


@pytest.mark.parametrize("dtype", [*NARROW, "float32", "float64", "str", "object", "category", "datetime64[us]"])
def test_what_a_row_is_to_the_model_does_not_depend_on_the_rows_beside_it(dtype: str) -> None:
    texts = {
        "str": ["a", "b"],
        "object": ["a", "b"],
        "category": ["a", "b"],
        "datetime64[us]": ["2026-01-01", "2026-01-02"],
    }
    values: list[Any] = texts.get(dtype, [0, 1])
    frame = pd.DataFrame({"x": pd.Series(values, dtype=dtype), "t": ["a", "b"]})
    model = framed(frame)
    if dtype in texts:
        asked_of = [*values, *(["y", "z"] if dtype == "category" else []), *([None] if dtype != "object" else [])]
    else:
        asked_of = [*values, *([np.nan] if model.series["x"].holds_missing else [])]
    rows = np.array([[value, "a"] for value in asked_of], dtype=object)
    together = model.given(rows)["x"]
    for at in range(len(rows)):
        pd.testing.assert_series_equal(
            model.given(rows[at : at + 1])["x"].reset_index(drop=True), together[at : at + 1].reset_index(drop=True)
        )


@pytest.mark.parametrize("narrow", ["int8", "uint8", "int16", "int32", "bool", "Int8", "boolean"])
@pytest.mark.parametrize("last", ["boosting", "forest"])
def test_single_precision_beside_narrow_numbers_is_rounded_as_scikit_learn_does(narrow: str, last: str) -> None:
    rng = np.random.default_rng(5)
    x = rng.exponential(20, 300).round(2)
    k = rng.integers(0, 2 if "bool" in narrow else 9, 300)
    frame = pd.DataFrame(
        {"x": pd.Series(x, dtype="float32"), "k": pd.Series(k, dtype=narrow), "c": rng.choice(["a", "b"], 300)}
    )
    ends = {"boosting": HistGradientBoostingRegressor(max_iter=20), "forest": RandomForestRegressor(10, random_state=0)}
    parts = [("p", StandardScaler(), ["x", "k"]), ("o", OneHotEncoder(sparse_output=False), ["c"])]
    estimator = make_pipeline(ColumnTransformer(parts), ends[last]).fit(frame, x * (k % 2 + 1))
    found = suited(estimator, frame)
    signature, matrix = read_signature(found.model, found.columns)
    proof = compile_and_prove(found.model, signature, matrix)
    if isinstance(proof, Proven):
        answers = open_bytes(proof.model, signature)["predict"](matrix)
        np.testing.assert_allclose(answers, estimator.predict(frame), 1e-5, 1e-6)


class Keep:
    """A first step of one's own, which hands on what it is given and remembers nothing of it."""

    def fit(self, _rows: Any, _labels: Any = None) -> "Keep":
        return self

    def transform(self, rows: Any) -> Any:
        return rows

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}


def test_a_first_step_of_one_s_own_does_not_hide_that_the_model_was_fitted_on_a_frame(tmp_path: Path) -> None:
    words = pd.Series([None, "a", "b"] * 20, dtype="str")
    frame = pd.DataFrame({"word": words})
    estimator = make_pipeline(Keep(), OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    model = served(estimator.fit(frame, words.isna()), frame, tmp_path)
    assert asked(model, frame).tolist() == words.isna().tolist()


def test_a_text_that_was_never_missing_among_objects_may_not_be_missing_in_serving() -> None:
    frame = pd.DataFrame({"word": pd.Series(["a", "b"] * 20, dtype="object"), "x": np.arange(40.0)})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = _model(
        make_pipeline(ColumnTransformer([("w", encoder, ["word"])]), LogisticRegression()).fit(frame, [0, 1] * 20),
        frame,
    )
    assert not model.signature.columns[0].takes_missing


def test_numbers_that_wrap_around_in_training_do_so_in_serving(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(250, dtype=np.uint8)})
    tripled = FunctionTransformer(Tripled())
    estimator = make_pipeline(tripled, LinearRegression()).fit(frame, np.arange(250.0))
    model = served(estimator, frame, tmp_path)
    np.testing.assert_allclose(asked(model, frame), estimator.predict(frame))


class Tripled:
    def __call__(self, rows: pd.DataFrame) -> Any:
        return rows * np.uint8(3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pd.Series([1, 2, 1], dtype="category"), "column 'x' cannot be served: its categories are not texts"),
        (pd.Series([1 + 2j, 0, 0]), "column 'x' cannot be served"),
        (pd.to_timedelta(pd.Series([1, 2, 3])), "column 'x' cannot be served"),
        (pd.Series([("a",), "b", "c"]), "column 'x' cannot be served"),
        (pd.Series([0.5, 1, 2], dtype="float16"), "column 'x' cannot be served: its dtype is float16"),
        (pd.Series(np.array([None, np.nan, "a"], dtype=object), dtype="object"), "None in some rows and NaN in others"),
        (
            pd.Series(pd.to_datetime(["1890-01-01"] * 3)).dt.tz_localize("Europe/Berlin"),
            "cannot be written as ISO 8601",
        ),
    ],
)
def test_a_column_that_cannot_be_served_is_named(values: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match=words):
        package(Named(), pd.DataFrame({"a": [1.0, 2.0, 3.0], "x": values}), tmp_path / "model")


def test_a_name_that_occurs_twice_and_a_golden_row_without_a_column_are_named(tmp_path: Path) -> None:
    twice = pd.DataFrame([[1.0, 2.0]] * 3, columns=["a", "a"])
    with pytest.raises(BadModelError, match="column 'a' cannot be served: its name occurs twice"):
        package(Named(), twice, tmp_path / "model")
    frame = {"b": np.arange(9.0), "a": np.arange(9.0)}
    with pytest.raises(BadModelError, match="the golden rows have no column 'b'"):
        package(Named(), frame, tmp_path / "model", {"a": np.arange(2.0)})


def tell_imports(directory: Path, digest: str, folder: Path) -> str:
    """What loading a package and asking it once imports."""
    code = (
        "import sys; from pathlib import Path; from penstock_serving.model.load import load_model\n"
        "from penstock_serving.protocol import v2\n"
        "model = load_model(Path(sys.argv[1]), sys.argv[2])\n"
        "model.method('predict')(v2.decode_call(model.golden.request, None, model.signature).matrix)\n"
        "print(model.signature.asked.value, *({'sklearn', 'pandas'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code, str(directory), digest]
    # tests' own modules are what the package's pickle names
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=os.environ | HERE)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


HERE = {"PYTHONPATH": str(Path(__file__).parents[2])}
NEAREST = KNeighborsClassifier(3)


@pytest.mark.parametrize(
    ("estimator", "columns", "told"),
    [
        (by_name(NEAREST), [*FRAME], "positions sklearn"),
        (
            GridSearchCV(by_name(NEAREST), {"kneighborsclassifier__n_neighbors": [3, 4]}, cv=2),
            [*FRAME],
            "positions sklearn",
        ),
        (make_pipeline(NEAREST), ["amount", "age"], "matrix sklearn"),
        (by_name(NEAREST).set_output(transform="pandas"), [*FRAME], "frame pandas sklearn"),
        (make_pipeline(FunctionTransformer(np.abs), NEAREST), ["amount", "age"], "matrix sklearn"),
    ],
    ids=["by name", "a search", "numbers", "steps of DataFrames", "a function of numbers"],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_pandas_is_imported_only_where_a_model_must_have_a_dataframe(
    estimator: Any, columns: list[str], told: str, tmp_path: Path
) -> None:
    frame = FRAME[columns]
    digest = package(estimator.fit(frame, LABELS), frame, tmp_path / "model")
    asked_by, *imported = tell_imports(tmp_path / "model", digest, tmp_path).split()
    assert [asked_by, *sorted(imported)] == told.split()
    model = load_model(tmp_path / "model", digest)
    np.testing.assert_array_equal(asked(model, frame), estimator.predict(frame))


@pytest.mark.parametrize(
    "what",
    ["single precision", "a function", "a time", "categories of boosting", "no chooser"],
)
def test_what_could_answer_otherwise_by_position_is_asked_by_a_dataframe(what: str) -> None:
    frame, words = FRAME[["amount", "country"]], OneHotEncoder(sparse_output=False)
    estimator: Any = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["amount"]), ("w", words, ["country"])]), NEAREST
    )
    match what:
        case "single precision":
            frame = frame.astype({"amount": "float32"})
        case "a function":
            steps = [("n", FunctionTransformer(Tripled()), ["amount"]), ("w", words, ["country"])]
            estimator = make_pipeline(ColumnTransformer(steps), NEAREST)
        case "a time":
            frame = frame.assign(at=pd.date_range("2026-01-01", periods=ROWS, freq="h"))
        case "categories of boosting":
            frame = frame.astype({"country": "category"})
            estimator = HistGradientBoostingClassifier(max_iter=3)
        case "no chooser":
            frame, estimator = frame[["country"]], make_pipeline(words, NEAREST)
    model = _model(estimator.fit(frame, LABELS), frame)
    signature, matrix = model.signature, _matrix(frame)
    found = suited(estimator, frame).model
    assert positioned(found, signature, matrix) is None


def test_the_model_that_is_packaged_is_left_as_it_is(tmp_path: Path) -> None:
    estimator = by_name(KNeighborsClassifier(3)).fit(FRAME, LABELS)
    before = estimator.predict(FRAME)
    package(estimator, FRAME, tmp_path / "model")
    np.testing.assert_array_equal(estimator.predict(FRAME), before)
    assert estimator.feature_names_in_.tolist() == [*FRAME]


def test_times_that_the_pipeline_drops_are_in_nobody_s_way(tmp_path: Path) -> None:
    frame = FRAME.assign(at=pd.date_range("2026-01-01", periods=ROWS, freq="37min"))
    model = served(by_name(LogisticRegression(max_iter=500)).fit(frame, LABELS), frame, tmp_path)
    assert model.backend == "onnx", model.fallback_reason


def test_a_framed_model_can_be_copied() -> None:
    model = framed(FRAME)
    assert copy.copy(model).series == copy.deepcopy(model).series == model.series


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object_"},
        {"dtype": "int64"},
        {"dtype": "datetime64[ns, " + "x" * 100 + "]"},
        {"dtype": 1},
        {"ordered": 1},
        {"missing": "null"},
        {"missing": []},
        {"levels": ["a", "a"]},
        {"levels": [1]},
        {"levels": ["x" * 3] * 10_001},
        {"more": 1},
    ],
)
def test_a_damaged_signature_is_refused(change: dict[str, Any]) -> None:
    model = _model(by_name(LogisticRegression(max_iter=500)).fit(FRAME, LABELS), FRAME)
    document = json.loads(dump(model.signature))
    assert load(dump(model.signature)) == model.signature
    document["columns"][2]["series"] |= change
    with pytest.raises(BadModelError, match=r"signature.json: columns\[2\].series"):
        load(json.dumps(document).encode())
    del document["columns"][2]["series"]
    with pytest.raises(BadModelError, match="all of a DataFrame, or where it is asked by a matrix none"):
        load(json.dumps(document).encode())


def test_a_file_is_packaged_with_the_dtypes_that_the_command_is_told(tmp_path: Path) -> None:
    frame = FRAME[["amount", "country"]].astype({"country": "category"})
    frame["at"] = pd.date_range("2026-01-01", periods=ROWS, freq="37min")
    estimator = HistGradientBoostingClassifier(max_iter=5).fit(frame[["amount", "country"]], LABELS)
    joblib.dump(estimator, tmp_path / "m.joblib")
    frame.assign(answer=LABELS)[["country", "amount", "answer"]].to_csv(tmp_path / "rows.csv", index=False)
    words = ["package", str(tmp_path / "m.joblib"), "--frame", str(tmp_path / "rows.csv"), "--label", "answer"]
    assert main([*words, "--dtype", "country=category", "--out", str(tmp_path / "model")]) == 0
    model = load_model(tmp_path / "model", tree_digest(tmp_path / "model"))
    assert (model.backend, model.signature.names) == ("onnx", ("amount", "country"))
    rows = frame[["amount", "country"]]
    np.testing.assert_array_equal(asked(model, rows), estimator.predict(rows))


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        ("country", "'country' is not COLUMN=DTYPE"),
        ("other=category", "a dtype is declared for 'other', which is no column"),
        ("amount=Int8", "column 'amount' cannot be served: its values cannot be of dtype 'Int8'"),
        ("country=datetime64[ns]", "column 'country' cannot be served: a value is not ISO 8601 without an offset"),
        ("country=complex128", "its values cannot be of dtype 'complex128'"),
        ("amount=int64", "column 'amount' holds fields that are not INT64"),
        ("amount=bool", "column 'amount' holds fields that are not BOOL"),
    ],
)
def test_a_dtype_that_cannot_be_is_refused(
    dtype: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joblib.dump(LogisticRegression().fit(FRAME[["amount"]], LABELS), tmp_path / "m.joblib")
    FRAME[["amount", "country"]].to_csv(tmp_path / "rows.csv", index=False)
    options = ["package", str(tmp_path / "m.joblib"), "--frame", str(tmp_path / "rows.csv"), "--dtype", dtype]
    assert main([*options, "--out", str(tmp_path / "model")]) != 0
    assert words in capsys.readouterr().err


def test_a_model_of_mlflow_that_was_fitted_on_a_frame_with_times(tmp_path: Path) -> None:
    directory = tmp_path / "mlflow"
    directory.mkdir()
    estimator = by_name(LogisticRegression(max_iter=500)).fit(FRAME, LABELS)
    joblib.dump(estimator, directory / "model.pkl")
    types = {
        "amount": "double",
        "age": "long",
        "country": "string",
        "vip": "boolean",
        "income": "double",
        "city": "string",
    }
    example = FRAME.astype({"income": object, "city": object}).where(FRAME.notna(), None)
    (directory / "input_example.json").write_text(
        json.dumps({"columns": list(FRAME), "data": example.to_numpy(dtype=object).tolist()})
    )
    inputs = json.dumps([{"name": name, "type": kind} for name, kind in types.items()])
    document = {
        "flavors": {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}},
        "signature": {"inputs": inputs, "outputs": None},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
    }
    (directory / "MLmodel").write_text(yaml.safe_dump(document))
    assert main(["package", str(directory), "--out", str(tmp_path / "model")]) == 0
    model = load_model(tmp_path / "model", tree_digest(tmp_path / "model"))
    assert model.backend == "onnx"
    np.testing.assert_array_equal(asked(model, FRAME), estimator.predict(FRAME))


def _matrix(frame: Frame) -> Matrix:
    columns = plain(frame)
    return assemble([column.values for column in columns.values()], datatypes(columns))


def framed(frame: pd.DataFrame) -> FramedModel:
    """A model of these columns, to look at what it is given."""
    return FramedModel(None, {name: column.series for name, column in plain(frame).items() if column.series})


def _model(estimator: Any, frame: pd.DataFrame) -> Model:
    """The model without a package."""
    found = suited(estimator, frame)
    assert isinstance(found.model, FramedModel)
    signature, _ = read_signature(found.model, found.columns)
    return of_estimator(found.model, signature, Golden(b"", ()), "sha256:x")
