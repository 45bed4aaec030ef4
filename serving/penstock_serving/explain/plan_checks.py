"""Whether a plan's parts fit together: what was read is not believed before every number in it points at something."""

import numpy as np

from penstock_serving.explain.npz import MalformedError
from penstock_serving.explain.plan import Forest, Linear, Plan, Sampled
from penstock_serving.explain.stages import Arithmetic, Branches, Encode, Impute, Select, Stage
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import MAX_COLUMNS

MAX_MADE = 100_000
MAX_OUTPUTS = 1_000


def check(plan: Plan) -> None:
    """Raise `MalformedError` unless the plan can be computed."""
    width = len(plan.columns)
    if not 0 < width <= MAX_COLUMNS or len(plan.text) != width or len(set(plan.columns)) != width:
        raise MalformedError(f"there are not 1 to {MAX_COLUMNS} columns with different names")
    if not 0 < len(plan.outputs) <= MAX_OUTPUTS:
        raise MalformedError(f"there are not 1 to {MAX_OUTPUTS} outputs")
    made = _made(plan.stages, width)
    match plan.model:
        case Linear():
            _check_linear(plan.model, made, len(plan.outputs))
        case Forest():
            _check_forest(plan.model, made, len(plan.outputs))
        case Sampled():
            _require(not plan.stages and plan.model.background.shape[1] == width, "the background has other columns")


def _require(holds: object, why: str) -> None:
    if not bool(holds):
        raise MalformedError(why)


def _within(positions: Matrix, count: int) -> bool:
    return bool((positions >= 0).all() and (positions < count).all())


def _made(stages: tuple[Stage, ...], width: int) -> int:
    """How many columns come out of stages into which `width` go."""
    for stage in stages:
        _require(stage.width == width, "a stage takes another number of columns than come to it")
        match stage:
            case Arithmetic():
                _require(np.isfinite(stage.operand).all(), "an operand is not finite")
            case Select():
                _require(_within(stage.positions, width), "a selected column is not there")
                width = len(stage.positions)
            case Impute():
                _require(
                    _within(stage.kept, width) and _within(stage.indicated, width), "an imputed column is not there"
                )
                width = len(stage.kept) + len(stage.indicated)
            case Encode():
                width = _encoded(stage)
            case Branches():
                for branch in stage.branches:
                    _require(_within(branch.positions, width), "a branch takes a column that is not there")
                width = sum(_made(branch.stages, len(branch.positions)) for branch in stage.branches)
        _require(0 < width <= MAX_MADE, f"a stage does not make 1 to {MAX_MADE} columns")
    return width


def _encoded(stage: Encode) -> int:
    for book in stage.books:
        _require(len(book.table) == len(book.categories) + 1, "a codebook has not a row for each category and the rest")
        if book.table.ndim == 1:
            _require((book.table >= -1).all() and (book.table < book.group).all(), "a category's place is not there")
    return sum(book.made for book in stage.books)


def _check_linear(model: Linear, made: int, outputs: int) -> None:
    _require(
        model.weights.shape == (made, outputs)
        and model.intercepts.shape == (outputs,)
        and model.means.shape == (made,),
        "the linear model's arrays do not fit its columns and outputs",
    )
    for values in (model.weights, model.intercepts, model.means):
        _require(np.isfinite(values).all(), "the linear model's arrays are not finite")


def _check_forest(model: Forest, made: int, outputs: int) -> None:
    nodes = len(model.left)
    per_node = (model.right, model.feature, model.threshold, model.missing_left, model.table, model.cover, model.values)
    _require(all(len(values) == nodes for values in per_node), "the nodes' arrays are of different lengths")
    _require(len(model.output) == len(model.roots) and len(model.base) == outputs, "the trees' arrays do not fit")
    _require(model.lefts.shape[1] == 256, "a table of categories is not of 256 codes")
    _check_trees(model, nodes)
    inner = model.left >= 0
    _require(_within(model.feature[inner], made), "a node splits by a column that is not there")
    _require((model.table >= -1).all() and (model.table < len(model.lefts)).all(), "a table of categories is not there")
    _require(not np.isnan(model.threshold).any(), "a threshold is not a number")
    _require(np.isfinite(model.values).all() and np.isfinite(model.base).all(), "a leaf's value is not finite")
    _require(np.isfinite(model.cover).all() and (model.cover >= 0).all(), "a node's cover is not a weight")
    wide = model.values.shape[1] == outputs
    narrow = model.values.shape[1] == 1
    _require(
        (wide and (model.output == -1).all()) or (narrow and _within(model.output, outputs)),
        "a tree adds to an output that is not there",
    )


def _check_trees(model: Forest, nodes: int) -> None:
    """Every node but the roots is the child of exactly one node before it, of its own tree: so trees they are."""
    roots = model.roots
    _require(len(roots) > 0 and roots[0] == 0 and (np.diff(roots) > 0).all() and roots[-1] < nodes, "roots are astray")
    inner = np.flatnonzero(model.left >= 0)
    leaf = model.left < 0
    _require((model.left[leaf] == -1).all() and (model.right[leaf] == -1).all(), "a leaf has a child")
    children = np.concatenate([model.left[inner], model.right[inner]])
    parents = np.concatenate([inner, inner])
    _require((children > parents).all() and (children < nodes).all(), "a child does not come after its parent")
    expected = np.setdiff1d(np.arange(nodes), roots, assume_unique=True)
    _require(np.array_equal(np.sort(children), expected), "a node does not have exactly one parent")
    tree = np.searchsorted(roots, np.arange(nodes), side="right")
    _require((tree[children] == tree[parents]).all(), "a child belongs to another tree")
