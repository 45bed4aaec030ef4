"""Splits on a set of categories: one table per categorical feature tells the side of every split for a code.

A TreeEnsemble cannot lead two splits to one node, so a set cannot be a chain of thresholds. Instead each distinct set
becomes one more feature of the trees, looked up by the category's code: 0 for left, 1 for right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from penstock_serving.compile.emit.block import Block, Coded, Feature, Indicator
from penstock_serving.compile.emit.graph import Graph
from penstock_serving.model.frame import Matrix

_BITS = 32
THRESHOLD = 0.5


def members(bitset: Matrix, count: int) -> Matrix:
    """Which of the codes [count] are in a bitset of 32-bit words, least significant bit first."""
    words = np.asarray(bitset, dtype=np.uint32)
    bits = (words[:, None] >> np.arange(_BITS, dtype=np.uint32)) & np.uint32(1)
    return bits.astype(bool).ravel()[:count]


@dataclass(slots=True)
class Sides:
    """The distinct splits on one categorical feature of `count` codes: columns [count + 1], last the missing value."""

    count: int
    columns: dict[bytes, int] = field(default_factory=dict)

    def column(self, bitset: Matrix, missing_left: bool) -> int:  # noqa: FBT001
        """The position of a split among the feature's, added where it is new."""
        left = np.append(members(bitset, self.count), missing_left)
        return self.columns.setdefault(left.tobytes(), len(self.columns))

    def table(self) -> Matrix:
        """[count + 1, splits]: 1 where a code goes right."""
        rows = [~np.frombuffer(key, dtype=bool) for key in self.columns]
        return np.stack(rows, axis=1).astype(np.float64)


def look_up(graph: Graph, block: Block, sides: Sequence[tuple[int, Sides]]) -> Block:
    """The block, followed by the columns of each categorical feature's splits, in the order of `sides`."""
    tensors, features = [block.tensor], list(block.features)
    for position, side in sides:
        code = graph.columns(block.tensor, position)
        missing = graph.add("IsNaN", [code])
        row = graph.cast(graph.add("Where", [missing, graph.doubles(float(side.count)), code]), TensorProto.INT64)
        table = side.table()
        tensors.append(graph.add("Gather", [graph.doubles(table), row], axis=0))
        features.extend(_feature(block.features[position], column) for column in table.T)
    return Block(graph.concatenated(tensors), tuple(features), block.kind, block.bound)


def _feature(coded: Feature, right: Matrix) -> Feature:
    origin = coded.origin
    if not isinstance(origin, Coded):
        return Feature(None, None)
    known = right[: len(origin.values)]
    sides = [tuple(value for value, at in zip(origin.values, known, strict=True) if at == side) for side in (1, 0)]
    return Feature(None, Indicator(origin.column, *sides))
