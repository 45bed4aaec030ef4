"""Shapley values by their definition, over games written straight from scikit-learn's own structures."""

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

Worth = Callable[[frozenset[int]], np.ndarray]


def shapley(worth: Worth, players: int) -> np.ndarray:
    """Shapley values [players, outputs] of a game by enumerating all its subsets."""
    worths = {
        frozenset(known): np.asarray(worth(frozenset(known)), dtype=float)
        for size in range(players + 1)
        for known in combinations(range(players), size)
    }
    found = np.zeros((players, len(worths[frozenset()])))
    for known, value in worths.items():
        for player in set(range(players)) - known:
            weight = 1 / (players * comb(players - 1, len(known)))
            found[player] += weight * (worths[known | {player}] - value)
    return found


def tree_worth(tree: Any, row: np.ndarray, known: frozenset[int], node: int = 0) -> np.ndarray:
    """What a tree of scikit-learn's tree module is worth when only some features of the row are known."""
    if tree.children_left[node] < 0:
        return tree.value[node][:, 0] if tree.n_outputs > 1 else tree.value[node][0]
    left, right = tree.children_left[node], tree.children_right[node]
    feature = tree.feature[node]
    if feature in known:
        value = np.float32(row[feature])
        goes_left = bool(tree.missing_go_to_left[node]) if np.isnan(value) else value <= tree.threshold[node]
        return tree_worth(tree, row, known, left if goes_left else right)
    weights = tree.weighted_n_node_samples
    return (
        weights[left] * tree_worth(tree, row, known, left) + weights[right] * tree_worth(tree, row, known, right)
    ) / weights[node]


def histogram_worth(
    predictor: Any, row: np.ndarray, known: frozenset[int], seen: list[set[int]], node: int = 0
) -> float:
    """The same of a tree of histogram gradient boosting; `seen` has each feature's known category codes."""
    here = predictor.nodes[node]
    if here["is_leaf"]:
        return float(here["value"])
    left, right, feature = int(here["left"]), int(here["right"]), int(here["feature_idx"])
    if feature in known:
        value = row[feature]
        if here["is_categorical"] and not np.isnan(value) and int(value) in seen[feature]:
            words = predictor.raw_left_cat_bitsets[here["bitset_idx"]]
            goes_left = bool(int(words[int(value) // 32]) >> (int(value) % 32) & 1)
        elif here["is_categorical"] or np.isnan(value):
            goes_left = bool(here["missing_go_to_left"])
        else:
            goes_left = bool(value <= here["num_threshold"])
        return histogram_worth(predictor, row, known, seen, left if goes_left else right)
    counts = predictor.nodes["count"].astype(float)
    return (
        counts[left] * histogram_worth(predictor, row, known, seen, left)
        + counts[right] * histogram_worth(predictor, row, known, seen, right)
    ) / counts[node]


def model_worth(model: Any, row: np.ndarray) -> Worth:
    """The path-dependent game of a model for a row of the features that it takes."""
    name = type(model).__name__
    if name.startswith("HistGradientBoosting"):
        return _histogram_game(model, row)
    if name.startswith("GradientBoosting"):
        base = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))[0]

        def boosted(known: frozenset[int]) -> np.ndarray:
            trees = model.estimators_
            return base + [
                model.learning_rate * sum(float(tree_worth(tree.tree_, row, known)[0]) for tree in trees[:, output])
                for output in range(trees.shape[1])
            ]

        return boosted
    trees = model.estimators_ if hasattr(model, "estimators_") else [model]
    return lambda known: np.mean([tree_worth(tree.tree_, row, known) for tree in trees], axis=0)


def _histogram_game(model: Any, row: np.ndarray) -> Worth:
    made = row[None, :] if model._preprocessor is None else model._preprocessor.transform(row[None, :])
    made = np.asarray(made, dtype=float)[0]
    categories = model._bin_mapper.bin_thresholds_
    is_category = model._bin_mapper.is_categorical_
    seen = [
        {int(code) for code in codes} if flag else set() for codes, flag in zip(categories, is_category, strict=True)
    ]
    order = np.arange(len(row))
    if model._preprocessor is not None:
        order = np.concatenate([np.flatnonzero(model.is_categorical_), np.flatnonzero(~model.is_categorical_)])

    def worth(known: frozenset[int]) -> np.ndarray:
        inner = frozenset(place for place, column in enumerate(order.tolist()) if column in known)
        return model._baseline_prediction.ravel() + [
            sum(histogram_worth(iteration[output], made, inner, seen) for iteration in model._predictors)
            for output in range(model.n_trees_per_iteration_)
        ]

    return worth
