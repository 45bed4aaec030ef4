"""Linear models: a matrix product, then the sign, the largest score, or the scores' probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    Lasso,
    LassoCV,
    LassoLars,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.svm import LinearSVC, LinearSVR

from penstock_serving.compile.emit.answers import (
    Answer,
    Answers,
    above_zero,
    affine,
    both,
    classified,
    largest,
    logistic,
    softmax,
)
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor
from penstock_serving.compile.emit.exact import require, require_parameters

_FITTING = (
    "C class_weight dual fit_intercept intercept_scaling l1_ratio max_iter n_jobs penalty random_state solver tol "
    "verbose warm_start copy_X positive alpha precompute selection average early_stopping epsilon eta0 learning_rate "
    "loss n_iter_no_change power_t shuffle validation_fraction multi_class Cs cv l1_ratios refit scoring "
    "use_legacy_attributes alpha_per_target alphas gcv_mode store_cv_results eps alpha_1 alpha_2 alpha_init compute_score "
    "lambda_1 lambda_2 lambda_init fit_path jitter n_nonzero_coefs quantile solver_options power link "
    "covariance_estimator n_components priors shrinkage store_covariance"
)


def _scores(emission: Emission, estimator: Any, block: Block) -> str:
    """The scores [rows, outputs]."""
    require_parameters(estimator, _FITTING)
    emission.require_numbers(estimator, block)
    emission.graph.refuse_not_finite(block)
    require(isinstance(estimator.coef_, np.ndarray), estimator, "a sparse coef_")
    return affine(emission.graph, block.tensor, np.atleast_2d(estimator.coef_).T, estimator.intercept_)


def _regressor(emission: Emission, estimator: Any, block: Block) -> Answers:
    scores = _scores(emission, estimator, block)
    one = np.ndim(estimator.coef_) == 1
    return {"predict": Answer(emission.graph.flat(scores) if one else scores)}


def _generalised(emission: Emission, estimator: Any, block: Block) -> Answers:
    """A generalised linear model: the inverse link of the score."""
    scores = emission.graph.flat(_scores(emission, estimator, block))
    link = type(estimator._base_loss.link).__name__
    require(link in {"LogLink", "IdentityLink"}, estimator, f"the link {link}")
    return {"predict": Answer(emission.graph.add("Exp", [scores]) if link == "LogLink" else scores)}


def _classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    graph = emission.graph
    scores = _scores(emission, estimator, block)
    if len(estimator.coef_) == 1:
        scores = graph.flat(scores)
        positions = above_zero(graph, scores)
    else:
        positions = largest(graph, scores)
    return {"predict": classified(estimator, positions), "decision_function": Answer(scores)}


def _logistic(emission: Emission, estimator: Any, block: Block) -> Answers:
    require(getattr(estimator, "multi_class", "auto") != "ovr", estimator, "multi_class='ovr'")
    answers = _classifier(emission, estimator, block)
    graph, scores = emission.graph, answers["decision_function"].tensor
    binary = len(estimator.classes_) <= 2
    probabilities = both(graph, logistic(graph, graph.column(scores))) if binary else softmax(graph, scores)
    return {**answers, "predict_proba": Answer(probabilities)}


def _discriminant(emission: Emission, estimator: Any, block: Block) -> Answers:
    """A linear discriminant classifies as logistic regression does, and projects."""
    answers = _logistic(emission, estimator, block)
    if estimator.solver == "lsqr":
        return answers
    directions = np.asarray(estimator.scalings_)[:, : estimator._max_components]
    centre = estimator.xbar_ if estimator.solver == "svd" else np.zeros(block.width)
    return {**answers, "transform": Answer(affine(emission.graph, block.tensor, directions, -(centre @ directions)))}


def _sgd_classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    answers = _classifier(emission, estimator, block)
    if not hasattr(estimator, "predict_proba"):
        return answers
    require(estimator.loss == "log_loss", estimator, f"probabilities of the loss {estimator.loss!r}")
    graph, scores = emission.graph, answers["decision_function"].tensor
    if len(estimator.coef_) == 1:
        return {**answers, "predict_proba": Answer(both(graph, logistic(graph, graph.column(scores))))}
    shares = logistic(graph, scores)
    total = graph.add("ReduceSum", [shares, graph.integers([1])], keepdims=1)
    is_zero = graph.add("Equal", [total, graph.doubles(0.0)])
    count = len(estimator.classes_)
    even = graph.add("Where", [is_zero, graph.doubles(1.0 / count), graph.add("Div", [shares, total])])
    return {**answers, "predict_proba": Answer(even)}


PREDICTORS: Mapping[type, Predictor] = {
    **dict.fromkeys(
        (
            LinearRegression,
            Ridge,
            RidgeCV,
            Lasso,
            LassoCV,
            LassoLars,
            Lars,
            ElasticNet,
            ElasticNetCV,
            BayesianRidge,
            HuberRegressor,
            QuantileRegressor,
            SGDRegressor,
            PassiveAggressiveRegressor,
            LinearSVR,
        ),
        _regressor,
    ),
    **dict.fromkeys((PoissonRegressor, GammaRegressor, TweedieRegressor), _generalised),
    **dict.fromkeys((LogisticRegression, LogisticRegressionCV), _logistic),
    LinearDiscriminantAnalysis: _discriminant,
    **dict.fromkeys(
        (RidgeClassifier, RidgeClassifierCV, Perceptron, PassiveAggressiveClassifier, LinearSVC), _classifier
    ),
    SGDClassifier: _sgd_classifier,
}
