"""AdaBoost of classification trees: weighted votes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from penstock_serving.compile.emit.answers import Answer, Answers, above_zero, classified, largest, softmax
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor, Splits
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.compile.emit.forest import single_precision, tree_of
from penstock_serving.compile.emit.tree import leaf_values, summed
from penstock_serving.model.frame import Matrix


def _votes(member: Any, weight: float, count: int) -> Matrix:
    """The vote [nodes, classes] of a tree's leaves."""
    votes = np.full((member.tree_.node_count, count), -weight / (count - 1))
    votes[np.arange(len(votes)), member.tree_.value[:, 0, :].argmax(axis=1)] = weight
    return votes


def _classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    require_parameters(estimator, "estimator n_estimators learning_rate random_state algorithm")
    require(getattr(estimator, "algorithm", "SAMME") != "SAMME.R", estimator, "algorithm SAMME.R")
    emission.require_numbers(estimator, block)
    graph, count, members = emission.graph, len(estimator.classes_), estimator.estimators_
    require(count > 1, estimator, "one class")
    for member in members:
        plain = type(member) is DecisionTreeClassifier and np.array_equal(member.classes_, estimator.classes_)
        require(plain, estimator, "members other than classification trees of all classes")
    graph.refuse_not_finite(block)
    read = single_precision(emission, block)
    graph.refuse_not_finite(read)
    trees = tuple(tree_of(member.tree_) for member in members)
    weights = np.asarray(estimator.estimator_weights_)[: len(members)]
    votes = [_votes(member, float(weight), count) for member, weight in zip(members, weights, strict=True)]
    emission.splits.append(Splits(read, trees, tuple(votes)))
    total = graph.doubles(float(np.asarray(estimator.estimator_weights_).sum()))
    if count > 2:
        voted = graph.add("ReduceSum", [leaf_values(graph, read.tensor, trees, votes), graph.integers([1])], keepdims=0)
        decision = graph.add("Div", [voted, total])
        scaled = graph.add("Div", [decision, graph.doubles(float(count - 1))])
        return {
            "predict": classified(estimator, largest(graph, decision)),
            "predict_proba": Answer(softmax(graph, scaled)),
            "decision_function": Answer(decision),
        }
    positive = summed(graph, read.tensor, trees, [vote[:, 1] for vote in votes], [0] * len(trees))
    half = graph.add("Div", [positive, total])
    decision = graph.flat(graph.add("Add", [half, half]))
    pair = graph.concatenated([graph.add("Neg", [half]), half])
    return {
        "predict": classified(estimator, above_zero(graph, decision)),
        "predict_proba": Answer(softmax(graph, pair)),
        "decision_function": Answer(decision),
    }


PREDICTORS: Mapping[type, Predictor] = {AdaBoostClassifier: _classifier}
