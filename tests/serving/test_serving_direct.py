"""A model that is not compiled is called without scikit-learn's checks where it answers alike, to the last bit."""

import contextlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.utils
import steps
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from penstock_serving.model.arithmetic import LeftToEstimatorError, arithmetic
from penstock_serving.model.direct import Direct
from penstock_serving.model.frame import Matrix
from penstock_serving.model.glance import Glance, glance_first
from penstock_serving.model.load import load_model
from penstock_serving.model.outputs import dense
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tests.serving.packages import uncompiled

RNG = np.random.default_rng(4)
X = RNG.normal(size=(300, 4))
X_MISSING = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
TWO = (X[:, 0] > 0).astype(int)
THREE = np.array(["a", "b", "c"])[TWO + (X[:, 1] > 0.5)]
NUMBER = X @ np.array([1.0, 2.0, 0.0, -1.0])

arctan = FunctionTransformer(np.arctan)
writing = [("filled", SimpleImputer(copy=False), slice(0, 2)), ("raw", "passthrough", slice(0, 2))]
some_scaled = ColumnTransformer(
    [("scaled", make_pipeline(arctan, StandardScaler()), [0, 2]), ("kept", "passthrough", slice(1, 2))]
)
DIRECT: dict[str, tuple[Any, Matrix, Matrix]] = {
    "function": (make_pipeline(arctan, StandardScaler(), LogisticRegression()), X, THREE),
    "two classes": (make_pipeline(arctan, LogisticRegression()), X, TWO),
    "keywords": (make_pipeline(FunctionTransformer(steps.scaled, kw_args={"by": 3.0}), SGDClassifier()), X, THREE),
    "function in place": (make_pipeline(FunctionTransformer(steps.in_place), LogisticRegression()), X, TWO),
    "function that raises": (make_pipeline(FunctionTransformer(steps.only_positive), LogisticRegression()), X + 4, TWO),
    "missing values": (make_pipeline(SimpleImputer(), MinMaxScaler(clip=True), arctan, Ridge()), X_MISSING, NUMBER),
    "regressor": (LinearRegression(), X, NUMBER),
    "two targets": (make_pipeline(StandardScaler(with_std=False), Ridge()), X, np.column_stack([NUMBER, NUMBER**2])),
    "neighbours": (make_pipeline(StandardScaler(), KNeighborsClassifier()), X, THREE),
    "neighbours by a ball tree": (KNeighborsClassifier(2, algorithm="ball_tree", metric="manhattan"), X, TWO),
    "neighbours' mean": (KNeighborsRegressor(11), X, NUMBER),
    "columns of which some are sparse": (
        make_pipeline(
            ColumnTransformer([("bins", KBinsDiscretizer(3), [0]), ("kept", "passthrough", [1, 2, 3])]), Ridge()
        ),
        X,
        NUMBER,
    ),
    "a step that writes into what another reads": (
        make_pipeline(ColumnTransformer(writing), DecisionTreeClassifier(random_state=0)),
        X_MISSING,
        TWO,
    ),
    "missing values filled in place": (
        make_pipeline(FunctionTransformer(steps.fill_in_place), Ridge()),
        X_MISSING,
        NUMBER,
    ),
    "columns": (make_pipeline(some_scaled, LogisticRegression()), X, THREE),
    "step of one's own": (make_pipeline(steps.Own(), StandardScaler(), RidgeClassifier()), X, THREE),
    "class of one's own": (make_pipeline(steps.Doubled(), LogisticRegression()), X, THREE),
    "other model": (make_pipeline(arctan, PolynomialFeatures(), SVC()), X, THREE),
    "forest": (make_pipeline(arctan, RandomForestClassifier(5, random_state=0)), X, THREE),
    "search": (GridSearchCV(make_pipeline(arctan, LogisticRegression()), {"logisticregression__C": [1.0]}), X, TWO),
    "clusters": (make_pipeline(arctan, StandardScaler(), KMeans(3, random_state=0)), X, TWO),
}
OWN: dict[str, tuple[Any, Matrix, Matrix]] = {
    "a function that turns": (make_pipeline(FunctionTransformer(steps.turning), LogisticRegression()), X, TWO),
    "single precision": (LogisticRegression(), X.astype(np.float32), TWO),
    "a model by itself": (SVC(), X, TWO),
    "neighbours by distance": (KNeighborsClassifier(weights="distance"), X, TWO),
    "neighbours one by one": (KNeighborsClassifier(algorithm="brute"), X, TWO),
    "what answers sparsely": (make_pipeline(KBinsDiscretizer(3), LogisticRegression()), X, THREE),
    "a method that was wrapped": (steps.Audited(), X, TWO),
    "an estimator without what its class has": (make_pipeline(arctan, steps.Bare()), X, TWO),
    "a function that has no answer for a single row": (
        make_pipeline(FunctionTransformer(steps.relative), LogisticRegression()),
        X,
        TWO,
    ),
    "weights of columns": (
        ColumnTransformer([("all", StandardScaler(), [0, 1, 2, 3])], transformer_weights={"all": 2.0}),
        X,
        TWO,
    ),
}


@pytest.fixture(scope="module")
def load(pack: Callable[..., Any]) -> Callable[[Any, Matrix, Matrix], tuple[Any, Any]]:
    """A fitted estimator, and its model as it is served by scikit-learn."""

    def loaded(estimator: BaseEstimator, rows: Matrix, answers: Matrix, patience: float = 120.0) -> tuple[Any, Any]:
        fitted = estimator.fit(rows, answers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            packaged = pack(fitted, {f"c{place}": column for place, column in enumerate(rows.T)})
        with contextlib.suppress(FileNotFoundError):
            packaged = uncompiled(packaged)
        with pytest.MonkeyPatch.context() as patch:
            # other tests may have the processor
            patch.setattr("penstock_serving.model.direct._PATIENCE_SECONDS", patience)
            return fitted, load_model(packaged.directory, packaged.digest)

    return loaded


def answer(method: Callable[[Matrix], Any], rows: Matrix) -> Matrix | str:
    """What a method answers, or by what words it refuses the rows."""
    try:
        return np.asarray(method(rows.copy(order="K") if isinstance(rows, np.ndarray) else rows))
    except ValueError as error:
        return str(error)


def assert_same(model: Any, fitted: Any, rows: Matrix) -> None:
    for output in model.signature.outputs:
        expected = answer(getattr(fitted, output.name), rows)
        found = answer(model.method(output.name), rows)
        if isinstance(expected, str):
            assert found == expected
        else:
            np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("name", DIRECT)
def test_a_pipeline_answers_alike_without_its_checks(name: str, load: Callable[..., Any]) -> None:
    fitted, model = load(*DIRECT[name])
    assert "predict" in model.direct
    assert "predict" in model.properties["direct"]
    quick = model.method("predict")
    assert isinstance(quick, Direct)
    few = np.abs(np.random.default_rng(8).normal(size=(20, 4)))
    np.testing.assert_array_equal(dense(quick.steps(few.copy())), fitted.predict(few.copy()), strict=True)
    rows = np.random.default_rng(9).normal(size=(200, 4)) * 2
    assert_same(model, fitted, rows)
    for row in rows[:20]:
        assert_same(model, fitted, row[None])
    for value in (np.nan, np.inf, -np.inf, 1e308, 5e-324, 0.0, -0.0):
        for column in range(4):
            odd = rows[:3].copy()
            odd[1, column] = value
            with np.errstate(all="ignore"):
                assert_same(model, fitted, odd)
    assert_same(model, fitted, np.asfortranarray(rows))
    assert_same(model, fitted, rows[:0])


def test_of_neighbours_the_model_says_how_they_vote(load: Callable[..., Any]) -> None:
    _, model = load(*DIRECT["neighbours"])
    assert model.neighbours.voting == 5
    for name in ("function", "neighbours by a ball tree", "neighbours' mean"):
        assert load(*DIRECT[name])[1].neighbours is None


def test_a_step_that_writes_where_it_reads_writes_into_no_request(load: Callable[..., Any]) -> None:
    _, model = load(*DIRECT["function in place"])
    rows = X[:5].copy()
    first = model.method("predict_proba")(rows)
    np.testing.assert_array_equal(rows, X[:5])
    np.testing.assert_array_equal(model.method("predict_proba")(rows), first)


@pytest.mark.parametrize("name", OWN)
def test_what_is_not_known_or_does_not_answer_alike_is_called_as_it_is(name: str, load: Callable[..., Any]) -> None:
    _, model = load(*OWN[name])
    assert "predict" not in model.direct


def test_a_model_that_takes_long_is_not_waited_for(load: Callable[..., Any]) -> None:
    slow = make_pipeline(FunctionTransformer(steps.asked_elsewhere), Ridge())
    _, model = load(slow, X, NUMBER, patience=0.1)
    assert model.direct == ()
    _, model = load(slow, X, NUMBER)
    assert model.direct == ("predict",)


def test_a_model_set_to_give_tables_is_called_as_it_is(load: Callable[..., Any]) -> None:
    pytest.importorskip("pandas")
    scaler = StandardScaler().set_output(transform="pandas")
    fitted, model = load(make_pipeline(scaler, FunctionTransformer(np.arctan), LogisticRegression()), X, THREE)
    assert model.direct == ()
    assert_same(model, fitted, X[:50])


@pytest.mark.parametrize(
    "rows",
    [
        X[:5, :1],  # it would be scaled all the same, by broadcasting
        X[:5].astype(np.float32),
        X[:5].astype(object),
        X[:5].astype(int),
        X[:5].tolist(),
        X[0],
        X[:0],
        X[:5] + np.inf,
    ],
)
@pytest.mark.parametrize("step", [StandardScaler(), MinMaxScaler(), SimpleImputer()])
def test_rows_that_a_step_does_not_expect_are_left_to_it(rows: Any, step: Any) -> None:
    quick = arithmetic(step.fit(X), "transform")
    assert quick is not None
    np.testing.assert_array_equal(quick(X[:5]), step.transform(X[:5]), strict=True)
    with pytest.raises(LeftToEstimatorError):
        quick(rows)


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_a_tree_that_looks_shortly_first_answers_and_refuses_as_before(tree: Any) -> None:
    made = tree(X)
    given: dict[str, Any] = {
        "plain": X[:9],
        "one row": X[:1],
        "in another order": np.asfortranarray(X[:9]),
        "part of another": X[:18:2],
        "single precision": X[:9].astype(np.float32),
        "a list": X[:9].tolist(),
        "missing": np.where(X[:9] > 1, np.nan, X[:9]),
        "infinite": X[:9] + np.inf,
        "no rows": X[:0],
        "a row alone": X[0],
        "too wide": np.column_stack([X, X]),
        "text": X[:9].astype(str).astype(object) + "x",
    }
    module = sys.modules[tree.__module__]

    def answers() -> dict[str, Any]:
        return {name: answer(lambda rows: made.query(rows, 3)[1], rows) for name, rows in given.items()}

    check = module.check_array
    try:
        module.check_array = sklearn.utils.check_array
        before = answers()
        glance_first(made)
        glance = module.check_array
        glance_first(made)
        assert module.check_array is glance
        for name, found in answers().items():
            np.testing.assert_array_equal(found, before[name], err_msg=name)
        looked: list[Any] = []

        def look(array: Any, **settings: Any) -> Any:
            looked.append(array)
            return check(array, **settings)

        module.check_array = Glance(look)
        made.query(given["plain"])
        assert looked == []
        made.query(given["part of another"])
        assert len(looked) == 1
    finally:
        module.check_array = check


NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.floats(allow_nan=True, allow_infinity=True))


@pytest.fixture(scope="module")
def some(load: Callable[..., Any]) -> list[tuple[Any, Any]]:
    return [load(*DIRECT[name]) for name in ("function", "neighbours", "missing values", "columns")]


@settings(deadline=None, max_examples=60)
@given(rows=arrays.arrays(np.float64, st.tuples(st.integers(1, 7), st.just(4)), elements=NUMBERS))
def test_whatever_the_rows_are(some: list[tuple[Any, Any]], rows: Matrix) -> None:
    for fitted, model in some:
        with np.errstate(all="ignore"):
            assert_same(model, fitted, rows)
