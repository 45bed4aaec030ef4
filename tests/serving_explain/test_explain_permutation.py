"""Asking a model: exact for few columns, sampled for many, always adding up, the same answer every time."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.explain.arrays import export_sampled
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.permutation import Budget, explain_row
from penstock_serving.explain.plan import Sampled, Unit
from penstock_serving.explain.plan_npz import load
from penstock_serving.explain.unexplained import NotExplained
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Output
from sklearn.neighbors import KNeighborsClassifier

from tests.serving_explain.oracle import shapley
from tests.serving_explain.signatures import signature_of

LABELS = Output("predict", Datatype.INT64, 0)


def curved(matrix: np.ndarray) -> np.ndarray:
    """Two outputs with interactions of two and three columns."""
    return np.column_stack([matrix[:, 0] * matrix[:, -1] + matrix.sum(axis=1) ** 2, np.sin(matrix).prod(axis=1)])


def never() -> None:
    pass


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), columns=st.integers(1, 6), rows=st.integers(1, 5))
def test_few_columns_are_explained_exactly(seed, columns, rows):
    chance = np.random.default_rng(seed)
    row, background = chance.normal(size=columns), chance.normal(size=(rows, columns))

    def worth(known):
        asked = background.copy()
        asked[:, list(known)] = row[list(known)]
        return curved(asked).mean(axis=0)

    found = explain_row(curved, row, background, Budget(10**6, seed=0), never)
    assert found.exact
    np.testing.assert_allclose(found.contributions, shapley(worth, columns), rtol=0, atol=1e-9)


def test_sampled_contributions_add_up_and_come_near_the_exact_ones_as_the_budget_grows():
    chance = np.random.default_rng(1)
    row, background = chance.normal(size=8), chance.normal(size=(4, 8))
    exact = explain_row(curved, row, background, Budget(10**6, seed=0), never)
    errors = []
    for orders in (2, 200):
        sampled = explain_row(curved, row, background, Budget(orders * 2 * 8 * 4 if orders < 9 else 1000, 0), never)
        assert not sampled.exact
        np.testing.assert_allclose(sampled.contributions.sum(axis=0), sampled.everything - sampled.nothing)
    for budget in (200, 20_000):
        estimates = [
            explain_row(curved_wide, np.append(row, np.zeros(5)), wide(background), Budget(budget, seed), never)
            for seed in range(5)
        ]
        assert not any(estimate.exact for estimate in estimates)
        gaps = [estimate.contributions[:8] - exact.contributions for estimate in estimates]
        errors.append(float(np.sqrt(np.mean(np.square(gaps)))))
    assert errors[1] < errors[0] / 4


def wide(matrix: np.ndarray) -> np.ndarray:
    """Five columns more, of which `curved_wide` takes no notice: too many for the exact way."""
    return np.hstack([matrix, np.ones((len(matrix), 5))])


def curved_wide(matrix: np.ndarray) -> np.ndarray:
    return curved(matrix[:, :8])


def test_an_additive_model_is_explained_exactly_by_a_single_order():
    chance = np.random.default_rng(2)
    row, background = chance.normal(size=20), chance.normal(size=(3, 20))
    weights = chance.normal(size=(20, 1))
    found = explain_row(lambda matrix: matrix @ weights, row, background, Budget(1, seed=0), never)
    expected = weights * (row - background.mean(axis=0))[:, None]
    np.testing.assert_allclose(found.contributions, expected, rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_answer_and_another_one_another():
    chance = np.random.default_rng(3)
    row, background = chance.normal(size=14), chance.normal(size=(2, 14))
    first, again, other = (
        explain_row(curved, row, background, Budget(2000, seed), never).contributions for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_a_budget_bounds_what_is_asked_of_the_model():
    asked = []

    def counting(matrix):
        asked.append(len(matrix))
        return curved(matrix)

    row, background = np.ones(15), np.zeros((4, 15))
    explain_row(counting, row, background, Budget(3000, seed=0), never)
    assert 2000 < sum(asked) <= 3000 + 2 * 4


def test_a_model_without_arrays_is_explained_by_asking_it():
    matrix = np.random.default_rng(0).normal(size=(80, 3))
    model = KNeighborsClassifier(5).fit(matrix, np.arange(80) % 3)
    signature = signature_of(matrix, width=3, classes=("a", "b", "c"))
    data = export_sampled(signature, matrix[:20])
    assert isinstance(data, bytes)
    explainer = Explainer(data, model.predict_proba)
    found = explainer.explain(matrix[:4])
    assert (found.unit, found.outputs, found.exact) == (Unit.PROBABILITY, ("a", "b", "c"), True)
    np.testing.assert_allclose(found.base_values, model.predict_proba(matrix[:20]).mean(axis=0))
    sums = found.contributions.sum(axis=1) + found.base_values
    np.testing.assert_allclose(sums, model.predict_proba(matrix[:4]), rtol=0, atol=1e-12)


def test_without_the_model_there_is_nothing_to_ask():
    matrix = np.zeros((3, 2))
    data = export_sampled(signature_of(matrix), matrix)
    assert isinstance(data, bytes)
    with pytest.raises(ValueError, match="give its predict function"):
        Explainer(data)


@pytest.mark.parametrize("rows", [0, 101])
def test_a_background_of_too_few_or_too_many_rows_is_refused(rows):
    found = export_sampled(signature_of(np.zeros((1, 2))), np.zeros((rows, 2)))
    assert isinstance(found, NotExplained)
    assert "1 to 100 rows" in found.reason


@pytest.mark.parametrize(
    ("outputs", "classes", "unit", "names"),
    [
        ([Output("predict", Datatype.FP64, 0)], (), Unit.PREDICTION, ("predict",)),
        ([Output("predict", Datatype.FP64, 2)], (), Unit.PREDICTION, ("predict[0]", "predict[1]")),
        ([LABELS, Output("decision_function", Datatype.FP64, 0)], ("a", "b"), Unit.SCORE, ("b",)),
        ([LABELS, Output("predict_proba", Datatype.FP64, 2)], ("a", "b"), Unit.PROBABILITY, ("a", "b")),
    ],
)
def test_what_is_asked_is_the_output_that_adds_up(outputs, classes, unit, names):
    signature = dataclasses.replace(signature_of(np.zeros((1, 2))), outputs=tuple(outputs), classes=classes)
    data = export_sampled(signature, np.zeros((3, 2)))
    assert isinstance(data, bytes)
    plan = load(data)
    assert (plan.unit, plan.outputs) == (unit, names)
    assert isinstance(plan.model, Sampled)
    assert plan.model.output == outputs[-1].name


def test_labels_alone_are_not_explained():
    signature = dataclasses.replace(signature_of(np.zeros((1, 2))), outputs=(LABELS,), classes=("a", "b"))
    found = export_sampled(signature, np.zeros((3, 2)))
    assert isinstance(found, NotExplained)
    assert "labels" in found.reason
