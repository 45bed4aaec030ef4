"""Rows that stand on both sides of every split of the trees, reached the way real rows reach it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from penstock_serving.compile.candidates import Cell, held
from penstock_serving.compile.emit.block import Affine, Coded, Indicator, Kind, Origin
from penstock_serving.compile.emit.emission import Splits
from penstock_serving.compile.emit.tree import Tree
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

_CATEGORIES = 4
_ALL_CATEGORIES = 64


@dataclass(frozen=True, slots=True)
class Change:
    """Put `value` into column `column` of the base row `row`."""

    row: int
    column: int
    value: Cell


def boundary(origin: Affine, threshold: float, kind: Kind, turn: int) -> list[float]:
    """Inputs at which an affine feature is just at or just above a threshold, as the trees read it.

    For trees that read float32, every fourth `turn` also tries the numbers next to the midpoint where rounding turns.
    """
    if not np.isfinite(threshold):
        return []
    if kind is not Kind.SINGLE:
        plain = origin.scale == 1 and origin.shift == 0
        return _around(origin, threshold, (0, 1) if plain else (-2, -1, 0, 1, 2))
    with np.errstate(over="ignore"):
        single = np.float32(threshold)
    if float(single) > threshold:
        single = np.nextafter(single, np.float32(-np.inf))
    inside, above = float(single), float(np.nextafter(single, np.float32(np.inf)))
    middle = _around(origin, (inside + above) / 2, (-1, 0, 1)) if turn % 4 == 0 else []
    return [*_around(origin, inside, (0,)), *_around(origin, above, (0,)), *middle]


def _around(origin: Affine, target: float, steps: Sequence[int]) -> list[float]:
    """Inputs for which the feature is near a target, some of the input's own smallest steps away from it."""
    at = origin.inverse(target)
    step = max(np.spacing(abs(at)), np.spacing(abs(origin.shift / origin.scale)))
    return [float(value) for value in (at + count * step for count in steps) if np.isfinite(value)]


def _values(origin: Origin, threshold: float, kind: Kind, signature: Signature, turn: int, most: int) -> list[Cell]:
    """Values of the origin's column around a split; `turn` picks `most` among many categories."""
    column = signature.columns[origin.column]
    values: list[Cell]
    match origin:
        case Affine():
            values = [*held(boundary(origin, threshold, kind, turn), column)]
        case Indicator():
            values = [*_some(origin.ones, turn, most), *_some(origin.zeros, turn, most)]
        case Coded():
            place = int(np.clip(np.floor(threshold), -1, len(origin.values) - 1))
            values = [*origin.values[max(place, 0) : place + 2]]
    if not column.is_text:
        values = [np.nan if value is None else value for value in values]
    missing = (value is None or value != value for value in values)
    return [value for value, is_missing in zip(values, missing, strict=True) if column.takes_missing or not is_missing]


def _some(values: Sequence[Cell], turn: int, most: int) -> list[Cell]:
    if len(values) <= most:
        return list(values)
    return [values[(turn + place) % len(values)] for place in range(most)]


def _telling(tree: Tree, values: Matrix, features: Matrix, wanted: Matrix, sides: tuple[Matrix, Matrix]) -> Matrix:
    """For each of the `wanted` nodes [nodes] the row of `features` to change there, or -1; shape [nodes].

    Of the rows that reach a node one that ends in different values on the two sides of its split, if there is one, where
    `sides` [nodes] hold what the split's feature is on each of them.
    """
    rows, nodes = tree.visits(features)
    rows, nodes = rows[wanted[nodes]], nodes[wanted[nodes]]
    ends = [
        values[tree.leaf(features[rows], child[nodes], tree.feature[nodes], value[nodes])]
        for child, value in zip((tree.left, tree.right), sides, strict=True)
    ]
    differ = (ends[0] != ends[1]).any(axis=tuple(range(1, ends[0].ndim)))
    chosen = np.full(len(tree.left), -1)
    chosen[nodes] = rows
    chosen[nodes[differ]] = rows[differ]
    return chosen


def _at_thresholds(tree: Tree, values: Matrix, features: Matrix) -> Matrix:
    """For each split the row to change to values around its threshold, or -1; shape [nodes]."""
    sides = (tree.threshold, np.nextafter(tree.threshold, np.inf))
    return _telling(tree, values, features, ~tree.is_leaf, sides)


def _missing(tree: Tree, values: Matrix, splits: Splits, features: Matrix, signature: Signature) -> Matrix:
    """For each split on a number a row that reaches it with that number missing, or -1; shape [nodes]."""
    chosen = np.full(len(tree.left), -1)
    nan = np.full(len(tree.left), np.nan)
    for feature in np.unique(tree.feature[~tree.is_leaf]).tolist():
        origin = splits.block.features[feature].origin
        if isinstance(origin, Affine) and signature.columns[origin.column].takes_missing:
            holed = features.copy()
            holed[:, feature] = np.nan
            here = (tree.feature == feature) & ~tree.is_leaf
            chosen[here] = _telling(tree, values, holed, here, (nan, nan))[here]
    return chosen


def changes(splits: Splits, features: Matrix, signature: Signature) -> Iterator[tuple[Change, ...]]:
    """For each split, in the order of trees and nodes, the changes of base rows that try it; empty where none can.

    `features` [rows, columns] are what the trees read of the base rows.
    """
    turn, seen = 0, set()
    for tree, values in zip(splits.trees, splits.values, strict=True):
        telling = _at_thresholds(tree, values, features)
        missing = _missing(tree, values, splits, features, signature)
        for node in np.flatnonzero(~tree.is_leaf).tolist():
            turn += 1
            feature = int(tree.feature[node])
            origin, row = splits.block.features[feature].origin, int(telling[node])
            if row < 0 or origin is None:
                yield ()
                continue
            most = _CATEGORIES if feature in seen else _ALL_CATEGORIES
            seen.add(feature)
            tried = _values(origin, float(tree.threshold[node]), splits.block.kind, signature, turn, most)
            holes = [Change(int(missing[node]), origin.column, np.nan)] if missing[node] >= 0 else []
            yield (*(Change(row, origin.column, value) for value in tried), *holes)
