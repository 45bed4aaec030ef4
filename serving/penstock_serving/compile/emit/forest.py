"""Decision trees and forests: single-precision values against double-precision thresholds, leaves averaged."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from penstock_serving.compile.emit.answers import Answer, Answers, both, classified, largest
from penstock_serving.compile.emit.block import Block, Kind
from penstock_serving.compile.emit.emission import Emission, Predictor, Splits
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.compile.emit.tree import Tree, leaf_values, summed
from penstock_serving.model.frame import Matrix

_FITTING = (
    "bootstrap ccp_alpha class_weight criterion max_depth max_features max_leaf_nodes max_samples "
    "min_impurity_decrease min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst n_estimators "
    "n_jobs oob_score random_state verbose warm_start splitter"
)


def tree_of(grown: Any) -> Tree:
    """The arrays of a fitted `sklearn.tree._tree.Tree`."""
    return Tree(
        feature=np.asarray(grown.feature),
        threshold=np.asarray(grown.threshold),
        left=np.asarray(grown.children_left),
        right=np.asarray(grown.children_right),
        missing_left=np.asarray(grown.missing_go_to_left).astype(bool),
    )


def single_precision(emission: Emission, block: Block) -> Block:
    """The block as these trees read it: cast to float32, where too large a number is infinite and refused."""
    graph = emission.graph
    tensor = block.tensor if block.kind is Kind.SINGLE else graph.rounded(block.tensor)
    graph.limit_single(block.bound)
    return Block(tensor, block.features, Kind.SINGLE, block.bound)


def _grown(emission: Emission, estimator: Any, block: Block) -> tuple[Block, tuple[Tree, ...], Sequence[Matrix]]:
    """The block as read, the trees, and their leaves' values [nodes, width]."""
    require_parameters(estimator, _FITTING)
    emission.require_numbers(estimator, block)
    members = getattr(estimator, "estimators_", [estimator])
    read = single_precision(emission, block)
    if members[0].__sklearn_tags__().input_tags.allow_nan:
        emission.graph.refuse_infinite(read)
    else:
        emission.graph.refuse_not_finite(read)
    trees = tuple(tree_of(member.tree_) for member in members)
    values = [np.asarray(member.tree_.value) for member in members]
    emission.splits.append(Splits(read, trees, tuple(values)))
    return read, trees, values


def _classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    require(estimator.n_outputs_ == 1, estimator, "several targets")
    graph = emission.graph
    read, trees, values = _grown(emission, estimator, block)
    count = graph.doubles(float(len(trees)))
    if estimator.n_classes_ == 2:
        positive = summed(graph, read.tensor, trees, [value[:, 0, 1] for value in values], [0] * len(trees))
        probabilities = both(graph, graph.add("Div", [positive, count]))
    else:
        probabilities = _average(emission, read, trees, [value[:, 0, :] for value in values])
    return {
        "predict": classified(estimator, largest(graph, probabilities)),
        "predict_proba": Answer(probabilities),
    }


def _regressor(emission: Emission, estimator: Any, block: Block) -> Answers:
    graph = emission.graph
    read, trees, values = _grown(emission, estimator, block)
    if estimator.n_outputs_ > 1:
        return {"predict": Answer(_average(emission, read, trees, [value[:, :, 0] for value in values]))}
    total = summed(graph, read.tensor, trees, [value[:, 0, 0] for value in values], [0] * len(trees))
    return {"predict": Answer(graph.flat(graph.add("Div", [total, graph.doubles(float(len(trees)))])))}


def _average(emission: Emission, read: Block, trees: Sequence[Tree], values: Sequence[Matrix]) -> str:
    graph = emission.graph
    reached = leaf_values(graph, read.tensor, trees, values)
    total = graph.add("ReduceSum", [reached, graph.integers([1])], keepdims=0)
    return graph.add("Div", [total, graph.doubles(float(len(trees)))])


PREDICTORS: Mapping[type, Predictor] = {
    **dict.fromkeys(
        (DecisionTreeClassifier, ExtraTreeClassifier, RandomForestClassifier, ExtraTreesClassifier), _classifier
    ),
    **dict.fromkeys(
        (DecisionTreeRegressor, ExtraTreeRegressor, RandomForestRegressor, ExtraTreesRegressor), _regressor
    ),
}
