"""Isolation forests: path lengths summed over trees, as a score against an offset."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

from penstock_serving.compile.emit.answers import Answer, Answers, at_least
from penstock_serving.compile.emit.block import Block, Kind
from penstock_serving.compile.emit.emission import Emission, Predictor, Splits
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.compile.emit.forest import tree_of
from penstock_serving.compile.emit.tree import Tree, summed
from penstock_serving.model.frame import Matrix

_FITTING = "n_estimators max_samples contamination max_features bootstrap n_jobs random_state verbose warm_start"


def _of_all_columns(tree: Tree, features: Matrix) -> Tree:
    """A tree grown on some columns as one of all."""
    inner = ~tree.is_leaf
    feature = np.where(inner, features[np.where(inner, tree.feature, 0)], 0)
    return Tree(feature, tree.threshold, tree.left, tree.right, tree.missing_left)


def _isolation(emission: Emission, forest: Any, block: Block) -> Answers:
    require_parameters(forest, _FITTING)
    emission.require_numbers(forest, block)
    graph = emission.graph
    single = block.tensor if block.kind is Kind.SINGLE else graph.rounded(block.tensor)
    read = Block(single, block.features, Kind.SINGLE, block.bound)
    trees = tuple(
        _of_all_columns(tree_of(member.tree_), np.asarray(features))
        for member, features in zip(forest.estimators_, forest.estimators_features_, strict=True)
    )
    depths = [
        np.asarray(path, dtype=np.float64) + np.asarray(average, dtype=np.float64) - 1.0
        for path, average in zip(forest._decision_path_lengths, forest._average_path_length_per_tree, strict=True)
    ]
    emission.splits.append(Splits(read, trees, tuple(depths)))
    depth = graph.flat(summed(graph, single, trees, depths, [0] * len(trees)))
    most = float(len(trees) * _average_path_length([forest._max_samples])[0])
    require(most > 0, forest, "one training row")
    share = graph.add("Div", [depth, graph.doubles(most)])
    score = graph.add("Exp", [graph.add("Mul", [share, graph.doubles(-np.log(2.0))])])
    decision = graph.add("Sub", [graph.add("Neg", [score]), graph.doubles(float(forest.offset_))])
    return {
        "predict": Answer(at_least(graph, decision, 0.0), (-1, 1), np.dtype(np.int64).str),
        "decision_function": Answer(decision),
    }


PREDICTORS: Mapping[type, Predictor] = {IsolationForest: _isolation}
