"""Conversions that other converters are known to get wrong without a word: here they are right."""

import numpy as np
import pytest
from penstock_serving.compile.opening import open_bytes
from sklearn import ensemble, preprocessing
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data


def opened(estimator, frame, target):
    """The proven compiled methods, the estimator and the reference rows."""
    estimator, signature, reference = data.fitted(estimator, frame, target)
    return open_bytes(data.proven(estimator, frame, target).model, signature), estimator, reference


@pytest.mark.parametrize(
    "estimator",
    [ensemble.RandomForestClassifier(10, random_state=0), ensemble.ExtraTreesClassifier(10, random_state=0)],
)
def test_a_forest_fitted_with_missing_values(estimator):
    ours, theirs, rows = opened(estimator, data.with_missing(), data.THREE)
    assert np.array_equal(ours["predict_proba"](rows), theirs.predict_proba(rows))


def test_histogram_boosting_with_categories_seen_unseen_and_missing():
    estimator = ensemble.HistGradientBoostingClassifier(max_iter=10, categorical_features=[0])
    target = np.array(["low", "middle", "high"])[np.digitize(data.TARGET + data.EFFECT, [-2, 2])]
    ours, theirs, rows = opened(estimator, data.coded(), target)
    rows = np.repeat(rows[:40], 4, axis=0)
    rows[::4, 0], rows[1::4, 0], rows[2::4, 0] = np.nan, 99.0, -1.0
    assert np.allclose(ours["predict_proba"](rows), theirs.predict_proba(rows), rtol=0, atol=1e-12)
    assert np.array_equal(ours["predict"](rows), theirs.predict(rows))


@pytest.mark.parametrize("frame", [data.money, data.epochs])
@pytest.mark.parametrize(
    "estimator",
    [
        ensemble.GradientBoostingRegressor(n_estimators=10),
        ensemble.HistGradientBoostingRegressor(max_iter=10),
        make_pipeline(preprocessing.StandardScaler(), ensemble.GradientBoostingRegressor(n_estimators=10)),
        make_pipeline(preprocessing.StandardScaler(), ensemble.RandomForestRegressor(10)),
    ],
)
def test_numbers_that_single_precision_cannot_tell_apart(estimator, frame):
    ours, theirs, rows = opened(estimator, frame(), data.TARGET)
    assert np.allclose(ours["predict"](rows), theirs.predict(rows), rtol=0, atol=1e-12)
