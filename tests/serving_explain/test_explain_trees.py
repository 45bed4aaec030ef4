"""Trees: contributions equal Shapley's definition over the path-dependent game, for every family and any fitted shape."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_serving.explain.arrays import export
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.plan import Unit
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from tests.serving_explain.oracle import model_worth, shapley
from tests.serving_explain.signatures import signature_of

CLASSIFIERS = {
    "tree": lambda depth, seed: DecisionTreeClassifier(max_depth=depth, random_state=seed),
    "extra tree": lambda depth, seed: ExtraTreeClassifier(max_depth=depth, random_state=seed),
    "forest": lambda depth, seed: RandomForestClassifier(3, max_depth=depth, random_state=seed),
    "extra trees": lambda depth, seed: ExtraTreesClassifier(3, max_depth=depth, random_state=seed),
    "boosting": lambda depth, seed: GradientBoostingClassifier(n_estimators=3, max_depth=depth, random_state=seed),
    "histogram": lambda depth, seed: HistGradientBoostingClassifier(
        max_iter=3, max_depth=depth, min_samples_leaf=2, random_state=seed
    ),
}
REGRESSORS = {
    "tree": lambda depth, seed: DecisionTreeRegressor(max_depth=depth, random_state=seed),
    "extra tree": lambda depth, seed: ExtraTreeRegressor(max_depth=depth, random_state=seed),
    "forest": lambda depth, seed: RandomForestRegressor(3, max_depth=depth, random_state=seed),
    "extra trees": lambda depth, seed: ExtraTreesRegressor(3, max_depth=depth, random_state=seed),
    "boosting": lambda depth, seed: GradientBoostingRegressor(n_estimators=3, max_depth=depth, random_state=seed),
    "histogram": lambda depth, seed: HistGradientBoostingRegressor(
        max_iter=3, max_depth=depth, min_samples_leaf=2, random_state=seed
    ),
}
TAKES_MISSING = {"tree", "extra tree", "forest", "extra trees", "histogram"}


def frame(seed: int, columns: int, missing: bool) -> np.ndarray:
    """Rows with few different values in some columns (ties, repeated splits), and missing ones where wanted."""
    chance = np.random.default_rng(seed)
    matrix = chance.normal(size=(60, columns))
    matrix[:, ::2] = np.round(matrix[:, ::2])
    if missing:
        matrix[chance.random(matrix.shape) < 0.2] = np.nan
    return matrix


def assert_shapley(model, matrix: np.ndarray, rows: np.ndarray) -> None:
    data = export(model, signature_of(matrix), matrix)
    assert isinstance(data, bytes), data
    found = Explainer(data).explain(rows)
    for row, contributions in zip(rows, found.contributions, strict=True):
        worth = model_worth(model, row)
        np.testing.assert_allclose(contributions, shapley(worth, matrix.shape[1]), rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.base_values, worth(frozenset()), rtol=0, atol=1e-9)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("family", CLASSIFIERS)
@given(seed=st.integers(0, 10**6), columns=st.integers(1, 5), classes=st.integers(2, 4), depth=st.integers(1, 5))
def test_contributions_of_a_classifier_are_shapley_values_per_class(family, seed, columns, classes, depth):
    missing = family in TAKES_MISSING and seed % 2 == 0
    matrix = frame(seed, columns, missing)
    labels = np.concatenate([np.arange(classes), np.random.default_rng(seed).integers(classes, size=60 - classes)])
    model = CLASSIFIERS[family](depth, seed).fit(matrix, labels)
    assert_shapley(model, matrix, matrix[:2])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("family", REGRESSORS)
@given(seed=st.integers(0, 10**6), columns=st.integers(1, 6), depth=st.integers(1, 5))
def test_contributions_of_a_regressor_are_shapley_values(family, seed, columns, depth):
    missing = family in TAKES_MISSING and seed % 2 == 0
    matrix = frame(seed, columns, missing)
    target = np.nan_to_num(matrix).sum(axis=1) + np.nan_to_num(matrix[:, 0]) ** 2
    model = REGRESSORS[family](depth, seed).fit(matrix, target)
    assert_shapley(model, matrix, matrix[:2])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 3))
def test_categories_of_histogram_boosting_go_as_in_scikit_learn(seed, classes):
    chance = np.random.default_rng(seed)
    matrix = np.column_stack([chance.integers(0, 9, 120) * 3.0, chance.normal(size=120), chance.integers(0, 4, 120)])
    matrix[chance.random(matrix.shape) < 0.1] = np.nan
    labels = np.concatenate([np.arange(classes), (np.nan_to_num(matrix[classes:, 0]) % classes).astype(int)])
    model = HistGradientBoostingClassifier(
        max_iter=4, max_depth=4, min_samples_leaf=3, categorical_features=[0, 2], random_state=0
    ).fit(matrix, labels)
    never_seen = np.array([[1.0, 0.0, 7.0], [np.nan, np.nan, np.nan], [-1.0, 0.3, 2.0]])
    assert_shapley(model, matrix, np.vstack([matrix[:2], never_seen]))


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_a_log_link_is_explained_on_the_link(loss):
    matrix = frame(3, 4, missing=True)
    target = np.exp(np.nan_to_num(matrix[:, 0]))
    model = HistGradientBoostingRegressor(loss=loss, max_iter=3, min_samples_leaf=2).fit(matrix, target)
    assert_shapley(model, matrix, matrix[:3])
    assert Explainer(export(model, signature_of(matrix), matrix)).plan.unit is Unit.LINK


def test_training_rows_without_weight_leave_contributions_finite_and_right():
    matrix = frame(5, 3, missing=False)
    weights = np.where(np.arange(60) % 3 == 0, 0.0, 1.0)
    model = DecisionTreeRegressor(random_state=0).fit(matrix, matrix.sum(axis=1), sample_weight=weights)
    assert_shapley(model, matrix, matrix[:4])


def test_several_targets_are_explained_each():
    matrix = frame(7, 4, missing=False)
    targets = np.column_stack([matrix.sum(axis=1), matrix[:, 0] * matrix[:, 1]])
    model = RandomForestRegressor(3, max_depth=4, random_state=0).fit(matrix, targets)
    assert_shapley(model, matrix, matrix[:3])
    assert Explainer(export(model, signature_of(matrix), matrix)).plan.outputs == ("predict[0]", "predict[1]")


@pytest.mark.parametrize(
    ("model", "labels", "unit", "outputs"),
    [
        (GradientBoostingClassifier(n_estimators=2), 2, Unit.LOG_ODDS, ("1",)),
        (GradientBoostingClassifier(n_estimators=2, loss="exponential"), 2, Unit.SCORE, ("1",)),
        (GradientBoostingClassifier(n_estimators=2), 3, Unit.LOG_ODDS, ("0", "1", "2")),
        (HistGradientBoostingClassifier(max_iter=2), 3, Unit.LOG_ODDS, ("0", "1", "2")),
        (RandomForestClassifier(2), 2, Unit.PROBABILITY, ("0", "1")),
    ],
)
def test_what_contributions_add_up_to_is_named(model, labels, unit, outputs):
    matrix = frame(1, 3, missing=False)
    model.fit(matrix, np.arange(60) % labels)
    plan = Explainer(export(model, signature_of(matrix), matrix)).plan
    assert (plan.unit, plan.outputs) == (unit, outputs)


def test_deep_trees_add_up_and_one_row_is_explained_as_among_many():
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(3000, 6))
    model = RandomForestRegressor(4, random_state=0).fit(matrix, chance.normal(size=3000))
    explainer = Explainer(export(model, signature_of(matrix), matrix))
    many = explainer.explain(matrix[:20])
    np.testing.assert_allclose(many.contributions.sum(axis=1)[:, 0] + many.base_values, model.predict(matrix[:20]))
    for number in range(3):
        alone = explainer.explain(matrix[number : number + 1])
        np.testing.assert_allclose(alone.contributions[0], many.contributions[number], rtol=0, atol=1e-12)
