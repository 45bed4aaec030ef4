"""Pipelines and linear models: stages make what scikit-learn makes; groups add up to the column that they come from."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_serving.explain.arrays import export
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.plan import Unit
from penstock_serving.explain.read_stages import read_stages
from penstock_serving.explain.stages import UnseenValueError, apply, floats, origins
from penstock_serving.explain.unexplained import NotExplained
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import LinearSVC

from tests.serving_explain.oracle import model_worth, shapley
from tests.serving_explain.signatures import signature_of

COLOURS = np.array(["red", "green", "blue", "café", ""], dtype=object)


def mixed(rows: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two numeric columns (one with missing values), two of text (one with missing values), and labels."""
    chance = np.random.default_rng(seed)
    matrix = np.empty((rows, 4), dtype=object)
    matrix[:, 0] = chance.normal(size=rows).tolist()
    matrix[:, 1] = COLOURS[chance.integers(0, 5, rows)]
    matrix[:, 2] = np.where(chance.random(rows) < 0.2, np.nan, chance.normal(size=rows)).tolist()
    matrix[:, 3] = COLOURS[chance.integers(0, 3, rows)]
    matrix[chance.random(rows) < 0.2, 3] = None
    labels = (matrix[:, 0].astype(float) + (matrix[:, 1] == "red") + 0.3 * chance.normal(size=rows) > 0.3).astype(int)
    return matrix, labels


def numeric(rows: int = 60, columns: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)) * [1, 100, 0.01, 5][:columns]


NUMERIC = {
    "standard": StandardScaler(),
    "standard without mean": StandardScaler(with_mean=False),
    "robust": RobustScaler(),
    "robust unscaled": RobustScaler(with_scaling=False),
    "min-max": MinMaxScaler((-1, 2)),
    "min-max clipped": MinMaxScaler(clip=True),
    "max-abs": MaxAbsScaler(),
    "variance": VarianceThreshold(0.5),
    "passthrough": FunctionTransformer(),
    "nested": make_pipeline(make_pipeline(StandardScaler(), MinMaxScaler()), RobustScaler()),
}


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@pytest.mark.parametrize("name", NUMERIC)
def test_numeric_stages_make_exactly_what_scikit_learn_makes(name, precision):
    matrix = numeric().astype(precision)
    transformer = NUMERIC[name].fit(matrix)
    rows = np.vstack([matrix, matrix * 7])
    expected = transformer.transform(rows)
    made = apply(read_stages(transformer, 4), rows)
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)


IMPUTERS = {
    "mean": SimpleImputer(),
    "median with indicator": SimpleImputer(strategy="median", add_indicator=True),
    "constant": SimpleImputer(strategy="constant", fill_value=-7.0),
    "most frequent": SimpleImputer(strategy="most_frequent"),
    "empty kept": SimpleImputer(keep_empty_features=True),
    "minus one is missing": SimpleImputer(missing_values=-1.0),
}


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
@pytest.mark.parametrize("name", IMPUTERS)
def test_imputers_make_exactly_what_scikit_learn_makes(name):
    matrix = np.round(numeric())
    missing = -1.0 if name == "minus one is missing" else np.nan
    matrix[np.random.default_rng(0).random(matrix.shape) < 0.3] = missing
    matrix[:, 2] = missing
    transformer = IMPUTERS[name].fit(matrix)
    np.testing.assert_array_equal(apply(read_stages(transformer, 4), matrix), transformer.transform(matrix))


ENCODERS = {
    "one-hot": OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    "one-hot sparse": OneHotEncoder(handle_unknown="ignore"),
    "one-hot, first dropped": OneHotEncoder(sparse_output=False, drop="first"),
    "one-hot, infrequent": OneHotEncoder(sparse_output=False, max_categories=3, handle_unknown="infrequent_if_exist"),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-5, encoded_missing_value=-6),
    "target": TargetEncoder(random_state=0),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_make_exactly_what_scikit_learn_makes(name):
    matrix, labels = mixed()
    columns = matrix[:, [1, 3]]
    transformer = ENCODERS[name].fit(columns, labels)
    rows = columns.copy()
    if name != "one-hot, first dropped":
        rows[:3] = [["never seen", "red"], ["red", "a colour longer than any category"], ["", None]]
    expected = transformer.transform(rows)
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    np.testing.assert_array_equal(apply(read_stages(transformer, 2), rows), expected)


def test_an_encoder_of_numbers_tells_missing_from_unseen():
    matrix = np.array([[1.0], [2.0], [np.nan], [5.0]])
    transformer = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(matrix)
    rows = np.array([[np.nan], [3.0], [5.0]])
    np.testing.assert_array_equal(apply(read_stages(transformer, 1), rows), transformer.transform(rows))


def test_a_value_that_an_encoder_refuses_is_named_by_its_input_column():
    matrix, labels = mixed()
    before = make_column_transformer((StandardScaler(), [0]), (OneHotEncoder(), [3, 1]), sparse_threshold=0)
    model = make_pipeline(before, LogisticRegression()).fit(matrix, labels)
    data = export(model, signature_of(matrix), matrix)
    assert isinstance(data, bytes), data
    rows = matrix[:2].copy()
    rows[1, 1] = "never seen"
    with pytest.raises(UnseenValueError) as refused:
        Explainer(data).explain(rows)
    assert refused.value.position == 1
    assert "never seen" not in str(refused.value)


def columns_of_everything():
    return make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), [2, 0]),
        (OneHotEncoder(handle_unknown="ignore"), [1]),
        (
            make_pipeline(SimpleImputer(missing_values=None, strategy="constant", fill_value="none"), OrdinalEncoder()),
            [3],
        ),
        sparse_threshold=0,
    )


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6))
def test_contributions_of_a_one_hot_group_add_up_to_its_column(seed):
    matrix, labels = mixed(seed=seed)
    before = columns_of_everything()
    model = make_pipeline(before, GradientBoostingClassifier(n_estimators=4, max_depth=3, random_state=0))
    model.fit(matrix, labels)
    data = export(model, signature_of(matrix), matrix)
    assert isinstance(data, bytes), data
    rows = matrix[:2].copy()
    rows[1, 1] = "never seen"
    found = Explainer(data).explain(rows)
    made = floats(np.asarray(before.transform(rows)))
    comes_from = np.array([2, 0, 2, 1, 1, 1, 1, 1, 3])
    assert made.shape[1] == len(comes_from)
    np.testing.assert_array_equal(origins(read_stages(before, 4), 4), comes_from)
    for row, contributions in zip(made, found.contributions, strict=True):
        each = shapley(model_worth(model[-1], row), made.shape[1])
        added = np.array([each[comes_from == column].sum(axis=0) for column in range(4)])
        np.testing.assert_allclose(contributions, added, rtol=0, atol=1e-9)
    margins = found.contributions.sum(axis=1)[:, 0] + found.base_values
    np.testing.assert_allclose(margins, model.decision_function(rows))


LINEAR = {
    "regression": (LinearRegression(), Unit.PREDICTION),
    "elastic net": (ElasticNet(alpha=0.01), Unit.PREDICTION),
    "poisson": (PoissonRegressor(alpha=0.01), Unit.LINK),
    "tweedie, identity": (TweedieRegressor(power=0), Unit.LINK),
    "logistic": (LogisticRegression(), Unit.LOG_ODDS),
    "ridge classifier": (RidgeClassifier(), Unit.SCORE),
    "support vectors": (LinearSVC(random_state=0), Unit.SCORE),
    "stochastic gradient": (SGDClassifier(random_state=0), Unit.SCORE),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_contributions_are_shapley_values_over_the_backgrounds_mean(name):
    matrix = numeric(columns=3) / [1, 100, 0.01]
    predictor, unit = LINEAR[name]
    classifier = hasattr(predictor, "decision_function")
    target = np.digitize(matrix.sum(axis=1), [-0.5, 0.5]) if classifier else np.abs(matrix.sum(axis=1))
    scaler = MinMaxScaler()
    model = make_pipeline(scaler, predictor).fit(matrix, target)
    explainer = Explainer(export(model, signature_of(matrix), matrix))
    assert explainer.plan.unit is unit
    mean = matrix.mean(axis=0)

    def margin(row):
        made = scaler.transform(row[None, :])
        return np.ravel(made @ np.atleast_2d(predictor.coef_).T + predictor.intercept_)

    for row, contributions in zip(matrix[:3], explainer.explain(matrix[:3]).contributions, strict=True):
        expected = shapley(lambda known, row=row: margin(np.where(np.isin(np.arange(3), list(known)), row, mean)), 3)
        np.testing.assert_allclose(contributions, expected, rtol=0, atol=1e-9)


class Stranger(StandardScaler):
    """Might do anything."""


class Unreadable(BaseEstimator):
    def fit(self, matrix, target):
        return self

    def predict(self, matrix):
        return np.zeros(len(matrix))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (make_pipeline(PCA(2), LogisticRegression()), "PCA"),
        (make_pipeline(Stranger(), LogisticRegression()), "Stranger"),
        (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()), "FunctionTransformer"),
        (KNeighborsClassifier(), "KNeighborsClassifier"),
        (GradientBoostingClassifier(init=GaussianNB()), "GaussianNB"),
        (Unreadable(), "Unreadable"),
    ],
)
def test_what_cannot_be_explained_says_why(model, reason):
    matrix = np.abs(numeric())
    model.fit(matrix, np.arange(60) % 2)
    found = export(model, signature_of(matrix), matrix)
    assert isinstance(found, NotExplained)
    assert reason in found.reason


def test_missing_values_before_a_linear_model_say_so():
    matrix = numeric()
    model = LinearRegression().fit(matrix, matrix.sum(axis=1))
    matrix[0, 0] = np.nan
    found = export(model, signature_of(matrix), matrix)
    assert isinstance(found, NotExplained)
    assert "missing values" in found.reason


def test_arrays_that_do_not_give_the_models_margins_are_not_exported():
    matrix = numeric()
    model = LinearRegression().fit(matrix, matrix.sum(axis=1))
    model.predict = lambda rows: LinearRegression.predict(model, rows) + 1
    found = export(model, signature_of(matrix), matrix)
    assert isinstance(found, NotExplained)
    assert "do not give scikit-learn's margins" in found.reason


def test_selected_columns_keep_their_names_and_others_get_nothing():
    matrix = numeric()
    target = (matrix[:, 1] > 0).astype(int)
    model = make_pipeline(SelectKBest(k=1), RandomForestClassifier(3, random_state=0)).fit(matrix, target)
    found = Explainer(export(model, signature_of(matrix), matrix)).explain(matrix[:5])
    assert np.abs(found.contributions[:, 1]).min() > 0
    assert not found.contributions[:, [0, 2, 3]].any()


def test_text_categories_inside_histogram_boosting_are_explained():
    matrix, _ = mixed()
    target = matrix[:, 0].astype(float) + (matrix[:, 1] == "red")
    matrix[:, 3] = [np.nan if value is None else value for value in matrix[:, 3]]
    model = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=3, categorical_features=[1, 3])
    model.fit(matrix, target)
    data = export(model, signature_of(matrix), matrix)
    assert isinstance(data, bytes), data
    found = Explainer(data).explain(matrix[:4])
    for row, contributions in zip(matrix[:4], found.contributions, strict=True):
        np.testing.assert_allclose(contributions, shapley(model_worth(model, row), 4), rtol=0, atol=1e-9)
