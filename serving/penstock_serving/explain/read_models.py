"""From fitted scikit-learn predictors to weights or trees: by exact type, since a subclass may do anything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import linear_model as linear
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
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
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from penstock_serving.explain.plan import Forest, Linear, Precision, Unit
from penstock_serving.explain.read_encoders import read_encoder
from penstock_serving.explain.read_trees import Grown, grown_by_histogram, grown_tree, joined
from penstock_serving.explain.stages import Branch, Branches, Stage
from penstock_serving.explain.unexplained import UnsupportedError
from penstock_serving.model.frame import Matrix

Margin = Callable[[Any, Matrix], Matrix]


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a predictor: stages of its own, its model (a linear one still without means), its unit, names of
    its outputs, and how scikit-learn is asked for its margin [rows, outputs]."""

    stages: tuple[Stage, ...]
    model: Linear | Forest
    unit: Unit
    outputs: tuple[str, ...]
    margin: Margin


def read_model(predictor: Any) -> Read:
    """Read a fitted predictor; raises `UnsupportedError`."""
    reader = _READERS.get(type(predictor))
    if reader is None:
        raise UnsupportedError(f"{type(predictor).__name__} is not among the models that can be explained by arrays")
    return reader(predictor)


def _two_dimensional(values: Any) -> Matrix:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _decision(estimator: Any, matrix: Matrix) -> Matrix:
    return _two_dimensional(estimator.decision_function(matrix))


def _prediction(estimator: Any, matrix: Matrix) -> Matrix:
    return _two_dimensional(estimator.predict(matrix))


def _log_prediction(estimator: Any, matrix: Matrix) -> Matrix:
    return np.log(_prediction(estimator, matrix))


def _probability(estimator: Any, matrix: Matrix) -> Matrix:
    return _two_dimensional(estimator.predict_proba(matrix))


def _class_names(classes: Sequence[object], outputs: int) -> tuple[str, ...]:
    """A name per output: of every class, or, where one output stands for two classes, of the second."""
    names = tuple(str(label) for label in classes)
    return names if outputs == len(names) else names[-1:]


def _target_names(outputs: int) -> tuple[str, ...]:
    return ("predict",) if outputs == 1 else tuple(f"predict[{number}]" for number in range(outputs))


def _weights(model: Any) -> Linear:
    coefficients = model.coef_.toarray() if hasattr(model.coef_, "toarray") else np.asarray(model.coef_)
    weights = np.atleast_2d(coefficients).astype(np.float64).T
    intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64).ravel(), (weights.shape[1],))
    return Linear(np.ascontiguousarray(weights), np.array(intercepts), np.zeros(len(weights)))


def _linear_classifier(model: Any) -> Read:
    weights = _weights(model)
    names = _class_names(model.classes_.tolist(), len(weights.intercepts))
    logistic = isinstance(model, linear.LogisticRegression)
    return Read((), weights, Unit.LOG_ODDS if logistic else Unit.SCORE, names, _decision)


def _linear_regressor(model: Any) -> Read:
    weights = _weights(model)
    return Read((), weights, Unit.PREDICTION, _target_names(len(weights.intercepts)), _prediction)


def _generalised_regressor(model: Any) -> Read:
    weights = _weights(model)
    identity = isinstance(model, linear.TweedieRegressor) and (
        model.link == "identity" or (model.link == "auto" and model.power <= 0)
    )
    return Read((), weights, Unit.LINK, ("predict",), _prediction if identity else _log_prediction)


def _single_tree(model: Any) -> Read:
    return _averaged(model, [model.tree_])


def _averaged_trees(model: Any) -> Read:
    return _averaged(model, [tree.tree_ for tree in model.estimators_])


def _averaged(model: Any, trees: Sequence[Any]) -> Read:
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise UnsupportedError(f"a {type(model).__name__} of several outputs is not explained")
    grown = [grown_tree(tree, 1 / len(trees)) for tree in trees]
    outputs = grown[0].values.shape[1]
    forest = joined(grown, np.full(len(grown), -1), np.zeros(outputs), Precision.SINGLE)
    if classes is None:
        return Read((), forest, Unit.PREDICTION, _target_names(outputs), _prediction)
    return Read((), forest, Unit.PROBABILITY, _class_names(classes.tolist(), outputs), _probability)


def _boosted(model: Any) -> Read:
    if not (isinstance(model.init_, str) or type(model.init_) in {DummyClassifier, DummyRegressor}):
        raise UnsupportedError(f"gradient boosting that begins with a {type(model.init_).__name__} is not explained")
    stages, outputs = model.estimators_.shape
    grown = [grown_tree(tree.tree_, model.learning_rate) for tree in model.estimators_.ravel()]
    base = np.asarray(model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32)))[0]
    forest = joined(grown, np.tile(np.arange(outputs), stages), base, Precision.SINGLE)
    if isinstance(model, GradientBoostingRegressor):
        return Read((), forest, Unit.PREDICTION, ("predict",), _prediction)
    unit = Unit.LOG_ODDS if model.loss == "log_loss" else Unit.SCORE
    return Read((), forest, unit, _class_names(model.classes_.tolist(), outputs), _decision)


def _histogram_boosted(model: Any) -> Read:
    known, row_of = model._bin_mapper.make_known_categories_bitsets()
    outputs = model.n_trees_per_iteration_
    grown: list[Grown] = []
    for iteration in model._predictors:
        grown += [grown_by_histogram(predictor, known, row_of) for predictor in iteration]
    base = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
    numbers = np.tile(np.arange(outputs), len(model._predictors))
    forest = joined(grown, numbers, base, Precision.DOUBLE)
    stages = _histogram_stages(model)
    if isinstance(model, HistGradientBoostingClassifier):
        return Read(stages, forest, Unit.LOG_ODDS, _class_names(model.classes_.tolist(), outputs), _decision)
    if model.loss in {"poisson", "gamma"}:
        return Read(stages, forest, Unit.LINK, ("predict",), _log_prediction)
    return Read(stages, forest, Unit.PREDICTION, ("predict",), _prediction)


def _histogram_stages(model: Any) -> tuple[Stage, ...]:
    """Categories are coded and put before the numbers, where the model has any."""
    if model._preprocessor is None:
        return ()
    is_category = np.asarray(model.is_categorical_, dtype=bool)
    encode = read_encoder(model._preprocessor.named_transformers_["encoder"])
    branches = [Branch(np.flatnonzero(is_category), (encode,))]
    if not is_category.all():
        branches.append(Branch(np.flatnonzero(~is_category), ()))
    return (Branches(tuple(branches), len(is_category)),)


_READERS: Mapping[type, Callable[[Any], Read]] = {
    **dict.fromkeys(
        (
            linear.LogisticRegression,
            linear.LogisticRegressionCV,
            linear.RidgeClassifier,
            linear.RidgeClassifierCV,
            linear.SGDClassifier,
            linear.Perceptron,
            LinearSVC,
            LinearDiscriminantAnalysis,
        ),
        _linear_classifier,
    ),
    **dict.fromkeys(
        (
            linear.ARDRegression,
            linear.BayesianRidge,
            linear.ElasticNet,
            linear.ElasticNetCV,
            linear.HuberRegressor,
            linear.Lars,
            linear.LarsCV,
            linear.Lasso,
            linear.LassoCV,
            linear.LassoLars,
            linear.LassoLarsCV,
            linear.LassoLarsIC,
            linear.LinearRegression,
            linear.MultiTaskElasticNet,
            linear.MultiTaskLasso,
            linear.OrthogonalMatchingPursuit,
            linear.QuantileRegressor,
            linear.Ridge,
            linear.RidgeCV,
            linear.SGDRegressor,
            linear.TheilSenRegressor,
            LinearSVR,
        ),
        _linear_regressor,
    ),
    **dict.fromkeys((linear.PoissonRegressor, linear.GammaRegressor, linear.TweedieRegressor), _generalised_regressor),
    **dict.fromkeys(
        (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor), _single_tree
    ),
    **dict.fromkeys(
        (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor), _averaged_trees
    ),
    **dict.fromkeys((GradientBoostingClassifier, GradientBoostingRegressor), _boosted),
    **dict.fromkeys((HistGradientBoostingClassifier, HistGradientBoostingRegressor), _histogram_boosted),
}
