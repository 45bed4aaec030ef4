"""Rows that stand on both sides of every split of the trees, reached the way real rows reach it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from penstock_serving.compile.candidates import Cell, held
from penstock_serving.compile.emit.block import Affine, Coded, Indicator, Kind, Origin
from penstock_serving.compile.emit.emission import Splits
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

_CATEGORIES = 4


@dataclass(frozen=True, slots=True)
class Change:
    """Put `value` into column `column` of the base row `row`."""

    row: int
    column: int
    value: Cell


def boundary(origin: Affine, threshold: float, kind: Kind) -> list[float]:
    """Inputs at which an affine feature is just at or just above a threshold, as the trees read it."""
    if not np.isfinite(threshold):
        return []
    inside = threshold
    targets = [threshold]
    if kind is Kind.SINGLE:
        with np.errstate(over="ignore"):
            single = np.float32(threshold)
        if float(single) > threshold:
            single = np.nextafter(single, np.float32(-np.inf))
        above = float(np.nextafter(single, np.float32(np.inf)))
        inside = float(single)
        targets = [inside, above, (inside + above) / 2]
    found: list[float] = []
    for target in targets:
        at = origin.inverse(target)
        step = max(np.spacing(abs(at)), np.spacing(abs(origin.shift / origin.scale)))
        steps = (0, 1) if origin.scale == 1 and origin.shift == 0 else (-2, -1, 0, 1, 2)
        found.extend(at + count * step for count in steps)
    return [float(value) for value in found if np.isfinite(value)]


def _values(origin: Origin, threshold: float, kind: Kind, signature: Signature, turn: int) -> list[Cell]:
    """Values of the origin's column around a split; `turn` picks among many categories."""
    column = signature.columns[origin.column]
    values: list[Cell]
    match origin:
        case Affine():
            values = [*held(boundary(origin, threshold, kind), column)]
        case Indicator():
            values = [*_some(origin.ones, turn), *_some(origin.zeros, turn)]
        case Coded():
            place = int(np.clip(np.floor(threshold), -1, len(origin.values) - 1))
            values = [*origin.values[max(place, 0) : place + 2]]
    if not column.is_text:
        values = [np.nan if value is None else value for value in values]
        if column.takes_missing:
            values.append(np.nan)
    missing = (value is None or value != value for value in values)
    return [value for value, is_missing in zip(values, missing, strict=True) if column.takes_missing or not is_missing]


def _some(values: Sequence[Cell], turn: int) -> list[Cell]:
    if len(values) <= _CATEGORIES:
        return list(values)
    return [values[(turn + place) % len(values)] for place in range(_CATEGORIES)]


def changes(splits: Splits, features: Matrix, signature: Signature) -> Iterator[tuple[Change, ...]]:
    """For each split, in the order of trees and nodes, the changes of base rows that try it; empty where none can.

    `features` [rows, columns] are what the trees read of the base rows.
    """
    turn = 0
    for tree in splits.trees:
        reached = tree.reached(features)
        for node in np.flatnonzero(~tree.is_leaf).tolist():
            turn += 1
            origin = splits.block.features[tree.feature[node]].origin
            row = int(reached[node])
            if row < 0 or origin is None:
                yield ()
                continue
            values = _values(origin, float(tree.threshold[node]), splits.block.kind, signature, turn)
            yield tuple(Change(row, origin.column, value) for value in values)
