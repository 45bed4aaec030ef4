"""From scikit-learn's grown trees to one forest's arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock_serving.explain.plan import Forest, Precision
from penstock_serving.model.frame import Matrix


@dataclass(frozen=True, slots=True)
class Grown:
    """One tree's arrays, as `Forest` has them, with children and tables counted from the tree's own first."""

    left: Matrix
    right: Matrix
    feature: Matrix
    threshold: Matrix
    missing_left: Matrix
    table: Matrix
    lefts: Matrix
    cover: Matrix
    values: Matrix


def grown_tree(tree: Any, scale: float) -> Grown:
    """A tree of scikit-learn's tree module (`tree_`); its leaves' values times `scale`.

    A leaf of a classifier holds the classes' shares (scikit-learn 1.3 and later), of a regressor the prediction.
    """
    nodes = tree.__getstate__()["nodes"]
    leaf = tree.children_left < 0
    values = tree.value[:, :, 0] if tree.n_outputs > 1 else tree.value[:, 0, :]
    return Grown(
        left=np.asarray(tree.children_left),
        right=np.asarray(tree.children_right),
        feature=np.where(leaf, 0, tree.feature),
        threshold=np.where(leaf, 0.0, tree.threshold),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        table=np.full(len(leaf), -1),
        lefts=np.zeros((0, 256), dtype=bool),
        cover=np.asarray(tree.weighted_n_node_samples),
        values=values * scale,
    )


def grown_by_histogram(predictor: Any, known: Matrix, row_of: Matrix) -> Grown:
    """A tree of histogram gradient boosting; `known` [categorical columns, 8] and `row_of` tell its known categories.

    A code goes left when the node's bitset says so, right when it is a known category otherwise, and else as missing.
    """
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    by_table = ~leaf & nodes["is_categorical"].astype(bool)
    missing_left = nodes["missing_go_to_left"].astype(bool)
    features = nodes["feature_idx"][by_table]
    lefts = _bits(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][by_table]])
    unknown = ~_bits(known[row_of[features]]) if by_table.any() else np.zeros((0, 256), dtype=bool)
    table = np.full(len(nodes), -1)
    table[by_table] = np.arange(int(by_table.sum()))
    return Grown(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        feature=np.where(leaf, 0, nodes["feature_idx"]),
        threshold=np.where(leaf | by_table, 0.0, nodes["num_threshold"]),
        missing_left=missing_left,
        table=table,
        lefts=lefts | (unknown & missing_left[by_table][:, None]),
        cover=nodes["count"].astype(np.float64),
        values=nodes["value"][:, None].astype(np.float64),
    )


def _bits(words: Matrix) -> Matrix:
    """Bitsets [n, 8] of 32 bits each as truth values [n, 256], the lowest bit first."""
    return np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), axis=1, bitorder="little").astype(
        bool
    )


def joined(trees: Sequence[Grown], output: Matrix, base: Matrix, precision: Precision) -> Forest:
    """Trees one after another; `output` [trees] and `base` [outputs] as `Forest` has them."""
    sizes = [len(tree.left) for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    tables = np.cumsum([0, *[len(tree.lefts) for tree in trees[:-1]]])
    return Forest(
        roots=roots,
        output=output,
        left=np.concatenate([_shifted(tree.left, by) for tree, by in zip(trees, roots, strict=True)]),
        right=np.concatenate([_shifted(tree.right, by) for tree, by in zip(trees, roots, strict=True)]),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        missing_left=np.concatenate([tree.missing_left for tree in trees]),
        table=np.concatenate([_shifted(tree.table, by) for tree, by in zip(trees, tables, strict=True)]),
        lefts=np.concatenate([tree.lefts for tree in trees]),
        cover=np.concatenate([tree.cover for tree in trees]),
        values=np.concatenate([tree.values for tree in trees]),
        base=base,
        precision=precision,
    )


def _shifted(positions: Matrix, by: int) -> Matrix:
    return np.where(positions < 0, -1, positions + by)
