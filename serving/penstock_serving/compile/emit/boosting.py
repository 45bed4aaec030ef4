"""Gradient boosting: a constant plus the leaves of all trees, then the loss's inverse link."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from penstock_serving.compile.emit.answers import (
    Answer,
    Answers,
    at_least,
    both,
    classified,
    largest,
    logistic,
    softmax,
)
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor, Splits
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.compile.emit.forest import single_precision, tree_of
from penstock_serving.compile.emit.tree import Tree, summed
from penstock_serving.model.frame import Matrix

_FITTING = (
    "alpha ccp_alpha criterion init learning_rate loss max_depth max_features max_leaf_nodes min_impurity_decrease "
    "min_samples_leaf min_samples_split min_weight_fraction_leaf n_estimators n_iter_no_change random_state subsample "
    "tol validation_fraction verbose warm_start"
)


def raised(
    emission: Emission, read: Block, trees: Sequence[Tree], values: Sequence[Matrix], baseline: Matrix
) -> tuple[str, int]:
    """The raw scores [rows, width] = baseline [width] + the leaves of the trees, which take turns over the columns."""
    graph, width = emission.graph, len(baseline)
    emission.splits.append(Splits(read, tuple(trees), tuple(values)))
    groups = [position % width for position in range(len(trees))]
    return graph.add("Add", [summed(graph, read.tensor, trees, values, groups), graph.doubles(baseline)]), width


def _raw(emission: Emission, estimator: Any, block: Block) -> tuple[str, int]:
    require_parameters(estimator, _FITTING)
    emission.require_numbers(estimator, block)
    constant = type(estimator.init_) in {DummyClassifier, DummyRegressor} or estimator.init_ == "zero"
    require(constant, estimator, "an init estimator of its own")
    read = single_precision(emission, block)
    emission.graph.refuse_not_finite(read)
    members = estimator.estimators_.ravel()
    return raised(
        emission,
        read,
        [tree_of(member.tree_) for member in members],
        [estimator.learning_rate * member.tree_.value[:, 0, 0] for member in members],
        estimator._raw_predict_init(np.zeros((1, block.width), dtype=np.float32))[0],
    )


def _classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    graph = emission.graph
    raw, width = _raw(emission, estimator, block)
    if width > 1:
        return {
            "predict": classified(estimator, largest(graph, raw)),
            "predict_proba": Answer(softmax(graph, raw)),
            "decision_function": Answer(raw),
        }
    doubled = graph.add("Mul", [raw, graph.doubles(2.0)]) if estimator.loss == "exponential" else raw
    flat = graph.flat(raw)
    return {
        "predict": classified(estimator, at_least(graph, flat, 0.0)),
        "predict_proba": Answer(both(graph, logistic(graph, doubled))),
        "decision_function": Answer(flat),
    }


def _regressor(emission: Emission, estimator: Any, block: Block) -> Answers:
    raw, _ = _raw(emission, estimator, block)
    return {"predict": Answer(emission.graph.flat(raw))}


PREDICTORS: Mapping[type, Predictor] = {
    GradientBoostingClassifier: _classifier,
    GradientBoostingRegressor: _regressor,
}
