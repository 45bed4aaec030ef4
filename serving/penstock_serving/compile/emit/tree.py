"""Decision trees as arrays, whatever they were grown by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper

from penstock_serving.compile.emit.graph import ML_DOMAIN, Graph
from penstock_serving.model.frame import Matrix

LEAF = -1
_SUM = 1


@dataclass(frozen=True, slots=True)
class Tree:
    """A binary tree of n nodes, node 0 the root, all arrays [n].

    A row goes to `left` where value <= threshold, and where the value is NaN and `missing_left`; else to `right`. A
    leaf has LEAF for both. Two nodes may lead to the same one (a split on a set of categories is such a chain).
    """

    feature: Matrix
    threshold: Matrix
    left: Matrix
    right: Matrix
    missing_left: Matrix

    @property
    def is_leaf(self) -> Matrix:
        return np.asarray(self.left == LEAF)

    def visits(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """All visits of splits by rows of `features` [rows, columns]: positions of the rows, and of the splits."""
        rows, nodes = np.arange(len(features)), np.zeros(len(features), dtype=np.int64)
        seen_rows, seen_nodes = [], []
        while len(rows):
            inner = ~self.is_leaf[nodes]
            rows, nodes = rows[inner], nodes[inner]
            seen_rows.append(rows)
            seen_nodes.append(nodes)
            nodes = self._next(nodes, features[rows, self.feature[nodes]])
        return np.concatenate(seen_rows), np.concatenate(seen_nodes)

    def leaf(self, features: Matrix, start: Matrix, column: Matrix, value: Matrix) -> Matrix:
        """The leaves [rows] reached from nodes `start` [rows], where each row has `value` in `column` instead."""
        nodes = start.copy()
        rows = np.flatnonzero(~self.is_leaf[nodes])
        while len(rows):
            feature = self.feature[nodes[rows]]
            given = np.where(feature == column[rows], value[rows], features[rows, feature])
            nodes[rows] = self._next(nodes[rows], given)
            rows = rows[~self.is_leaf[nodes[rows]]]
        return nodes

    def _next(self, nodes: Matrix, values: Matrix) -> Matrix:
        to_left = np.where(np.isnan(values), self.missing_left[nodes], values <= self.threshold[nodes])
        return np.where(to_left, self.left[nodes], self.right[nodes])


def summed(graph: Graph, tensor: str, trees: Sequence[Tree], values: Sequence[Matrix], groups: Sequence[int]) -> str:
    """The sum over each group of trees of the value [n] of the leaf reached; shape [rows, groups].

    `groups` holds for each tree the position of its sum. By TreeEnsemble (ai.onnx.ml 5), which compares and adds in
    double precision for float64 tensors.
    """
    parts = _Parts()
    for tree, value, group in zip(trees, values, groups, strict=True):
        parts.append(tree, value, group)
    return graph.add(
        "TreeEnsemble",
        [tensor],
        domain=ML_DOMAIN,
        aggregate_function=_SUM,
        n_targets=max(groups) + 1,
        **parts.attributes(),
    )


def leaf_values(graph: Graph, tensor: str, trees: Sequence[Tree], values: Sequence[Matrix]) -> str:
    """The values [n, width] of the leaves reached, shape [rows, trees, width].

    A TreeEnsemble's leaf has one value; so each tree gives the position of its leaf in one table.
    """
    leaves = [np.flatnonzero(tree.is_leaf) for tree in trees]
    first = np.cumsum([0, *(len(found) for found in leaves)])
    positions = []
    for tree, found, start in zip(trees, leaves, first[:-1], strict=True):
        position = np.zeros(len(tree.left))
        position[found] = np.arange(start, start + len(found))
        positions.append(position)
    reached = graph.cast(summed(graph, tensor, trees, positions, range(len(trees))), 7)
    table = np.concatenate([value[found] for value, found in zip(values, leaves, strict=True)])
    return graph.add("Gather", [graph.doubles(table), reached], axis=0)


class _Parts:
    """The attribute lists of a TreeEnsemble, filled tree by tree."""

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._features: list[Matrix] = []
        self._thresholds: list[Matrix] = []
        self._missing: list[Matrix] = []
        self._children: tuple[list[Matrix], list[Matrix]] = ([], [])
        self._are_leaves: tuple[list[Matrix], list[Matrix]] = ([], [])
        self._weights: list[Matrix] = []
        self._groups: list[Matrix] = []
        self._inner = self._leaves = 0

    def append(self, tree: Tree, values: Matrix, group: int) -> None:
        tree, values = _with_a_split(tree, values)
        leaf = tree.is_leaf
        order = np.where(leaf, np.cumsum(leaf) - 1 + self._leaves, np.cumsum(~leaf) - 1 + self._inner)
        self._roots.append(self._inner)
        self._features.append(tree.feature[~leaf])
        self._thresholds.append(tree.threshold[~leaf])
        self._missing.append(tree.missing_left[~leaf])
        for child, numbers, are_leaves in zip((tree.left, tree.right), self._children, self._are_leaves, strict=True):
            numbers.append(order[child[~leaf]])
            are_leaves.append(leaf[child[~leaf]])
        self._weights.append(values[leaf])
        self._groups.append(np.full(leaf.sum(), group))
        self._inner += int((~leaf).sum())
        self._leaves += int(leaf.sum())

    def attributes(self) -> dict[str, Any]:
        return {
            "tree_roots": self._roots,
            "nodes_featureids": _integers(self._features),
            "nodes_modes": numpy_helper.from_array(np.zeros(self._inner, dtype=np.uint8)),
            "nodes_splits": numpy_helper.from_array(np.concatenate(self._thresholds).astype(np.float64)),
            "nodes_missing_value_tracks_true": _integers(self._missing),
            "nodes_truenodeids": _integers(self._children[0]),
            "nodes_falsenodeids": _integers(self._children[1]),
            "nodes_trueleafs": _integers(self._are_leaves[0]),
            "nodes_falseleafs": _integers(self._are_leaves[1]),
            "leaf_targetids": _integers(self._groups),
            "leaf_weights": numpy_helper.from_array(np.concatenate(self._weights).astype(np.float64)),
        }


def _with_a_split(tree: Tree, values: Matrix) -> tuple[Tree, Matrix]:
    """A tree that is one leaf as a split with two equal leaves: the operator wants a split at every root."""
    if len(tree.left) > 1:
        return tree, values
    leaf = np.array([LEAF, LEAF])
    split = Tree(
        feature=np.zeros(3, dtype=np.int64),
        threshold=np.zeros(3),
        left=np.array([1, *leaf]),
        right=np.array([2, *leaf]),
        missing_left=np.zeros(3, dtype=bool),
    )
    return split, np.array([0.0, values[0], values[0]])


def _integers(parts: Sequence[Matrix]) -> list[int]:
    joined: list[int] = np.concatenate(parts).astype(np.int64).tolist()
    return joined
