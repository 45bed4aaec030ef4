"""What scikit-learn's common estimators compute, without what they check on every call.

A call of a pipeline of three small steps takes 0.4 ms, one of a neighbours' classifier 1.5 ms, and all but some hundredths
of that goes into looking at the input again: its type, its names, the estimator's parameters, threads for a single row. A
server has looked already. Each function here does the operations of its estimator in the same order (scikit-learn 1.9), so
that the numbers are the same to the last bit. What the estimator may refuse, or treat in another way, is left to it.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.glance import glance_first
from penstock_serving.model.signature import OUTPUTS

Step = Callable[[Any], Any]
"""From the rows that a step is given to what it makes of them."""

_MOST_CLASSES = 64
"""Votes are counted for each class: where there are more of them, the estimator's own way is the quicker one."""


class LeftToEstimatorError(Exception):
    """Rows that only the estimator itself may answer."""


def arithmetic(estimator: Any, method: str) -> Step | None:
    """What an estimator's method computes, or None where it is none of those known here.

    The step raises `LeftToEstimatorError`, or whatever NumPy raises, for rows that are the estimator's own to answer. An
    estimator that lacks what those of its class have raises `AttributeError` here.
    """
    if has_settings(estimator):
        return None
    for owner, inherited, make in _INHERITED:
        if inherited == method and _inherits(estimator, owner, method):
            return make(estimator)
    found = _BY_KIND.get((kind(estimator), method))
    return None if found is None else found(estimator)


def kind(estimator: Any) -> str:
    """The very class of an estimator, by name: to import it would cost every server of a model that is none of it."""
    of = type(estimator)
    return f"{of.__module__}.{of.__qualname__}"


def has_settings(estimator: Any) -> bool:
    """Whether somebody has set what kind of table it gives (`set_output`), or put methods of his own into it."""
    own = vars(estimator) if hasattr(estimator, "__dict__") else {}
    return any(name in own for name in (*OUTPUTS, "_decision_function", "_sklearn_output_config"))


def steps_of(pipeline: Any) -> list[Any]:
    """The steps of a fitted pipeline that do something."""
    return [step for _, step in pipeline.steps if step is not None and step != "passthrough"]


def _inherits(estimator: Any, owner: str, method: str) -> bool:
    """Whether an estimator's method is the very one of a class of scikit-learn's linear models."""
    # loaded wherever a class inherits from it, and nowhere else
    known = getattr(getattr(sys.modules.get(_LINEAR), owner, None), method, None)
    return known is not None and getattr(type(estimator), method, None) is known


def _numbers(rows: Any, width: int) -> Matrix:
    if type(rows) is np.ndarray and rows.dtype == np.float64 and rows.shape[1:] == (width,) and len(rows):
        return rows
    raise LeftToEstimatorError


def _finite(rows: Any, width: int) -> Matrix:
    numbers = _numbers(rows, width)
    if not np.isfinite(numbers).all():
        raise LeftToEstimatorError
    return numbers


def _finite_or_missing(rows: Any, width: int) -> Matrix:
    numbers = _numbers(rows, width)
    if np.isinf(numbers).any():
        raise LeftToEstimatorError
    return numbers


def _are_numbers(*arrays: Any) -> bool:
    return all(type(array) is np.ndarray and array.dtype == np.float64 for array in arrays)


def _standard_scaler(scaler: Any) -> Step | None:
    mean, scale = (scaler.mean_ if scaler.with_mean else None), (scaler.scale_ if scaler.with_std else None)
    if not scaler.copy or not _are_numbers(*(array for array in (mean, scale) if array is not None)):
        return None
    width = scaler.n_features_in_

    def scaled(rows: Any) -> Matrix:
        found = _finite_or_missing(rows, width).copy(order="K")
        if mean is not None:
            found -= mean
        if scale is not None:
            found /= scale
        return found

    return scaled


def _min_max_scaler(scaler: Any) -> Step | None:
    if not scaler.copy or not _are_numbers(scaler.scale_, scaler.min_):
        return None
    width, scale, least = scaler.n_features_in_, scaler.scale_, scaler.min_
    clipped = tuple(scaler.feature_range) if scaler.clip else None

    def scaled(rows: Any) -> Matrix:
        found = _finite_or_missing(rows, width).copy(order="K")
        found *= scale
        found += least
        return found if clipped is None else np.clip(found, *clipped, out=found)

    return scaled


def _simple_imputer(imputer: Any) -> Step | None:
    values, missing = imputer.statistics_, imputer.missing_values
    is_plain = imputer.copy and not imputer.add_indicator and isinstance(missing, float) and np.isnan(missing)
    if not is_plain or not _are_numbers(values) or np.isnan(values).any():
        return None
    if imputer._fill_dtype != np.float64 or imputer._fit_dtype != np.float64:
        return None
    width = imputer.n_features_in_

    def filled(rows: Any) -> Matrix:
        found = _finite_or_missing(rows, width)
        return np.where(np.isnan(found), values, found)

    return filled


def _function(transformer: Any) -> Step | None:
    if transformer.validate:
        return None
    function, extra = transformer.func, transformer.kw_args or {}
    if function is None:
        return as_it_is

    def applied(rows: Any) -> Any:
        found = function(rows, **extra)
        # a table may be given other names of its columns by the transformer
        if type(found) is not np.ndarray:
            raise LeftToEstimatorError
        return found

    return applied


def as_it_is(rows: Any) -> Any:
    """The rows."""
    return rows


def _linear(model: Any) -> Step | None:
    coefficients, intercept = model.coef_, model.intercept_
    if not _are_numbers(coefficients) or not np.isrealobj(intercept) or coefficients.ndim > 2:
        return None
    weights, width = coefficients.T if coefficients.ndim == 2 else coefficients, model.n_features_in_

    def combined(rows: Any) -> Matrix:
        found: Matrix = _finite(rows, width) @ weights + intercept
        return found

    return combined


def _decision(classifier: Any) -> Step | None:
    combined = _linear(classifier)
    if combined is None:
        return None

    def scores(rows: Any) -> Matrix:
        found: Matrix = combined(rows)
        return found.reshape(-1) if found.ndim > 1 and found.shape[1] == 1 else found

    return scores


def _linear_label(classifier: Any) -> Step | None:
    inherits = _inherits(classifier, "LinearClassifierMixin", "decision_function")
    scores, classes = _decision(classifier) if inherits else None, classifier.classes_
    if scores is None or type(classes) is not np.ndarray:
        return None

    def labels(rows: Any) -> Matrix:
        found = scores(rows)
        label: Matrix = classes.take((found > 0).astype(np.intp) if found.ndim == 1 else found.argmax(axis=1))
        return label

    return labels


def _linear_prediction(regressor: Any) -> Step | None:
    return _linear(regressor) if _inherits(regressor, "LinearModel", "_decision_function") else None


def _neighbours(model: Any) -> Step | None:
    """Positions [n, neighbours] of the training rows that are nearest, by the model's tree, which from here on glances at
    rows before it looks at them."""
    is_plain = model.weights == "uniform" and model._fit_method in ("kd_tree", "ball_tree")
    if not is_plain or model.n_jobs not in (None, 1):
        return None
    glance_first(model._tree)
    query, most, width = model._tree.query, model.n_neighbors, model.n_features_in_

    def nearest(rows: Any) -> Matrix:
        found: Matrix = query(np.ascontiguousarray(_finite(rows, width)), most, return_distance=False)
        return found

    return nearest


def _votes(classifier: Any) -> Step | None:
    """How many of a row's neighbours are of each class: [n, classes]."""
    nearest, most, labels = _neighbours(classifier), len(classifier.classes_), classifier._y
    if nearest is None or classifier.outputs_2d_ or labels.ndim != 1 or most > _MOST_CLASSES:
        return None

    def counted(rows: Any) -> Matrix:
        voted = labels[nearest(rows)]
        first = most * np.arange(len(voted))[:, None]
        return np.bincount((voted + first).ravel(), minlength=most * len(voted)).reshape(-1, most)

    return counted


def _neighbours_label(classifier: Any) -> Step | None:
    votes, classes = _votes(classifier), classifier.classes_
    if votes is None or type(classes) is not np.ndarray:
        return None
    return lambda rows: classes.take(votes(rows).argmax(axis=1))


def _neighbours_shares(classifier: Any) -> Step | None:
    votes, most = _votes(classifier), classifier.n_neighbors
    return None if votes is None else lambda rows: votes(rows) / float(most)


def _neighbours_mean(regressor: Any) -> Step | None:
    nearest, targets = _neighbours(regressor), regressor._y
    if nearest is None or targets.ndim != 1:
        return None
    # of one column each, as the order in which numbers are added depends on how they lie
    column = targets.reshape(-1, 1)
    return lambda rows: np.mean(column[nearest(rows)], axis=1).ravel()


_LINEAR = "sklearn.linear_model._base"
_INHERITED: tuple[tuple[str, str, Callable[[Any], Step | None]], ...] = (
    ("LinearClassifierMixin", "predict", _linear_label),
    ("LinearClassifierMixin", "decision_function", _decision),
    ("LinearModel", "predict", _linear_prediction),
    ("MultiOutputLinearModel", "predict", _linear_prediction),
)
_BY_KIND: dict[tuple[str, str], Callable[[Any], Step | None]] = {
    ("sklearn.preprocessing._data.StandardScaler", "transform"): _standard_scaler,
    ("sklearn.preprocessing._data.MinMaxScaler", "transform"): _min_max_scaler,
    ("sklearn.preprocessing._function_transformer.FunctionTransformer", "transform"): _function,
    ("sklearn.impute._base.SimpleImputer", "transform"): _simple_imputer,
    ("sklearn.neighbors._classification.KNeighborsClassifier", "predict"): _neighbours_label,
    ("sklearn.neighbors._classification.KNeighborsClassifier", "predict_proba"): _neighbours_shares,
    ("sklearn.neighbors._regression.KNeighborsRegressor", "predict"): _neighbours_mean,
}
