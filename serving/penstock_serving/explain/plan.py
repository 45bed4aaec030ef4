"""What an explanation needs of a model: its stages and its linear weights or trees, as plain arrays."""

from dataclasses import dataclass
from enum import StrEnum

from penstock_serving.explain.stages import Stage
from penstock_serving.model.frame import Matrix


class Unit(StrEnum):
    """What the contributions of a model add up to."""

    LOG_ODDS = "log-odds"
    SCORE = "score"
    LINK = "link"
    PROBABILITY = "probability"
    PREDICTION = "prediction"


class Precision(StrEnum):
    """The precision in which a tree compares a value with a threshold."""

    SINGLE = "float32"
    DOUBLE = "float64"


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model: weights [made columns, outputs], intercepts [outputs], the background's mean [made columns]."""

    weights: Matrix
    intercepts: Matrix
    means: Matrix


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees added up, their nodes one after another.

    `roots`, `output` [trees]: first node, and the output that a tree adds to (-1: to all, a column of `values` each).
    `left`, `right` [nodes]: the children, -1 for a leaf; children come after their parent.
    `feature`, `threshold` [nodes]: a value of the made column at most the threshold goes left.
    `missing_left` [nodes]: whether NaN goes left.
    `table` [nodes]: row of `lefts` by which a category's code goes left, -1 where the threshold decides.
    `lefts` [tables, 256]: which codes go left.
    `cover` [nodes]: weight of the training rows that reached a node.
    `values` [nodes, 1 or outputs]: what a leaf adds.
    `base` [outputs]: what is there before any tree.
    """

    roots: Matrix
    output: Matrix
    left: Matrix
    right: Matrix
    feature: Matrix
    threshold: Matrix
    missing_left: Matrix
    table: Matrix
    lefts: Matrix
    cover: Matrix
    values: Matrix
    base: Matrix
    precision: Precision


@dataclass(frozen=True, slots=True)
class Sampled:
    """No arrays of the model: its output `output` is asked, with unknown columns taken from `background`
    [rows, columns]."""

    background: Matrix
    output: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A model to be explained: input columns (`text`: which hold text), output names, unit, stages and model."""

    columns: tuple[str, ...]
    text: tuple[bool, ...]
    outputs: tuple[str, ...]
    unit: Unit
    stages: tuple[Stage, ...]
    model: Linear | Forest | Sampled
