"""Histogram gradient boosting: double-precision thresholds, sets of categories, missing values with a side of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from penstock_serving.compile.emit.answers import (
    Answer,
    Answers,
    above_zero,
    both,
    classified,
    largest,
    logistic,
    softmax,
)
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.boosting import raised
from penstock_serving.compile.emit.category_split import THRESHOLD, Sides, look_up
from penstock_serving.compile.emit.emission import Emission, Predictor, is_nan
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.compile.emit.tree import LEAF, Tree
from penstock_serving.model.frame import Matrix

_FITTING = (
    "categorical_features class_weight early_stopping interaction_cst l2_regularization learning_rate loss max_bins "
    "max_depth max_features max_iter max_leaf_nodes min_samples_leaf monotonic_cst n_iter_no_change quantile "
    "random_state scoring tol validation_fraction verbose warm_start"
)
_LOGARITHMIC = frozenset({"poisson", "gamma"})


def _raw(emission: Emission, estimator: Any, block: Block) -> tuple[str, int]:
    require_parameters(estimator, _FITTING)
    preprocessor = estimator._preprocessor
    read = emission.as_array(block) if preprocessor is None else emission.transform(preprocessor, block)
    emission.require_numbers(estimator, read)
    predictors = [predictor for stage in estimator._predictors for predictor in stage]
    trees = [_numeric(predictor.nodes) for predictor in predictors]
    if estimator._preprocessor is not None:
        read = _with_sets(emission, estimator, read, trees, predictors)
    values = [np.asarray(predictor.nodes["value"], dtype=np.float64) for predictor in predictors]
    baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel()
    require(len(estimator._predictors[0]) == len(baseline), estimator, "a baseline of another width")
    return raised(emission, read, trees, values, baseline)


def _numeric(nodes: Matrix) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
        right=np.where(leaf, LEAF, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(bool),
    )


def _with_sets(
    emission: Emission, estimator: Any, read: Block, trees: Sequence[Tree], predictors: Sequence[Any]
) -> Block:
    """The block with a column for every split on categories; the trees' splits are pointed at them."""
    categories = estimator._preprocessor.named_transformers_["encoder"].categories_
    sides = {
        int(feature): Sides(sum(not is_nan(value) for value in known.tolist()))
        for feature, known in zip(np.flatnonzero(estimator._is_categorical_remapped), categories, strict=True)
    }
    found = []
    for tree, predictor in zip(trees, predictors, strict=True):
        nodes = predictor.nodes
        for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~tree.is_leaf):
            bitset = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
            feature = int(tree.feature[node])
            found.append((tree, node, feature, sides[feature].column(bitset, bool(tree.missing_left[node]))))
    used = [(feature, side) for feature, side in sides.items() if side.columns]
    starts = np.cumsum([read.width, *(len(side.columns) for _, side in used)])
    first = {feature: int(start) for (feature, _), start in zip(used, starts[:-1], strict=True)}
    for tree, node, feature, column in found:
        tree.feature[node] = first[feature] + column
        tree.threshold[node] = THRESHOLD
    return look_up(emission.graph, read, used) if used else read


def _classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    graph = emission.graph
    raw, width = _raw(emission, estimator, block)
    if width > 1:
        return {
            "predict": classified(estimator, largest(graph, raw)),
            "predict_proba": Answer(softmax(graph, raw)),
            "decision_function": Answer(raw),
        }
    flat = graph.flat(raw)
    return {
        "predict": classified(estimator, above_zero(graph, flat)),
        "predict_proba": Answer(both(graph, logistic(graph, raw))),
        "decision_function": Answer(flat),
    }


def _regressor(emission: Emission, estimator: Any, block: Block) -> Answers:
    graph = emission.graph
    raw, _ = _raw(emission, estimator, block)
    mean = graph.add("Exp", [raw]) if estimator.loss in _LOGARITHMIC else raw
    return {"predict": Answer(graph.flat(mean))}


PREDICTORS: Mapping[type, Predictor] = {
    HistGradientBoostingClassifier: _classifier,
    HistGradientBoostingRegressor: _regressor,
}
