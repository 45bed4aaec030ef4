"""Trees cut into layers by depth, so that one array operation serves every node of a depth in every tree at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock_serving.explain.plan import Forest
from penstock_serving.model.frame import Matrix

SMALLEST_SHARE = 1e-18
"""A child that no training weight reached counts as reached by this share, which no float64 result shows."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The edges into the nodes of one depth: to all left children first, then to all right ones.

    `split` [edges / 2]: the nodes that are split, as positions in the forest; `above` [edges / 2]: their positions in
    the layer above. `ancestor` [edges]: the nearest edge above that is by the same feature, as a number counted over
    all layers from 1, 0 for none. `share`, `share_above` [edges]: the product of the shares of training weight that
    followed this feature's edges down to this one, and down to the ancestor (1 for none). `key` [groups] and `starts`,
    `order`: edges sorted by (output, input column), and where each group of them starts. `leaf` and `leaf_node`:
    positions of this layer's leaves in the layer and in the forest.
    """

    split: Matrix
    above: Matrix
    ancestor: Matrix
    repeated: Matrix
    share: Matrix
    share_above: Matrix
    order: Matrix
    starts: Matrix
    key: Matrix
    leaf: Matrix
    leaf_node: Matrix


@dataclass(frozen=True, slots=True)
class Layered:
    """Some trees of a forest: their roots that are leaves and roots in all, layers, edges, features on a path at most."""

    roots: Matrix
    layers: tuple[Layer, ...]
    edges: int
    distinct: int


@dataclass(frozen=True, slots=True)
class _Frontier:
    """The nodes of one depth: their positions in the forest, tree's output, edge number, share of their root's weight
    and number of distinct features above."""

    node: Matrix
    output: Matrix
    edge: Matrix
    distinct: Matrix


def chunks(forest: Forest, nodes: int) -> Iterator[Matrix]:
    """Positions of trees in runs of about `nodes` nodes, at least one tree in each."""
    ends = np.append(forest.roots[1:], len(forest.left))
    run: list[int] = []
    held = 0
    for tree, size in enumerate((ends - forest.roots).tolist()):
        if run and held + size > nodes:
            yield np.array(run)
            run, held = [], 0
        run.append(tree)
        held += size
    if run:
        yield np.array(run)


def layered(forest: Forest, trees: Matrix, columns: Matrix, width: int) -> Layered:
    """The layers of some trees; `columns` [made columns] tells the input column, of `width`, of each made column."""
    roots = forest.roots[trees]
    frontier = _Frontier(
        node=roots,
        output=np.maximum(forest.output[trees], 0),
        edge=np.zeros(len(roots), dtype=np.intp),
        distinct=np.zeros(len(roots), dtype=np.intp),
    )
    edges = _Edges()
    layers: list[Layer] = []
    distinct = 0
    while True:
        split = np.flatnonzero(forest.left[frontier.node] >= 0)
        if not len(split):
            return Layered(roots, tuple(layers), edges.count, distinct)
        layer, frontier = _next(forest, frontier, split, edges, columns, width)
        layers.append(layer)
        distinct = max(distinct, int(frontier.distinct.max()))


class _Edges:
    """What must be known of all edges so far, by their numbers; number 0 stands for none."""

    def __init__(self) -> None:
        self.feature = np.array([-1])
        self.parent = np.array([0])
        self.share = np.array([1.0])

    @property
    def count(self) -> int:
        return len(self.feature)

    def add(self, feature: Matrix, parent: Matrix, share: Matrix) -> Matrix:
        numbers = np.arange(self.count, self.count + len(feature))
        self.feature = np.append(self.feature, feature)
        self.parent = np.append(self.parent, parent)
        self.share = np.append(self.share, share)
        return numbers

    def nearest(self, feature: Matrix, edge: Matrix) -> Matrix:
        """The nearest edge by the same feature at or above each edge, 0 for none."""
        found = edge.copy()
        while True:
            wrong = np.flatnonzero((found > 0) & (self.feature[found] != feature))
            if not len(wrong):
                return found
            found[wrong] = self.parent[found[wrong]]


def _next(
    forest: Forest, frontier: _Frontier, split: Matrix, edges: _Edges, columns: Matrix, width: int
) -> tuple[Layer, _Frontier]:
    parents = frontier.node[split]
    twice = np.concatenate([split, split])
    nodes = np.concatenate([forest.left[parents], forest.right[parents]])
    feature = np.tile(forest.feature[parents], 2)
    ancestor = edges.nearest(feature, frontier.edge[twice])
    above = edges.share[ancestor]
    share = above * shares(forest, np.concatenate([parents, parents]), nodes)
    output = frontier.output[twice]
    key = output * width + columns[feature]
    order = np.argsort(key, kind="stable")
    keys, starts = np.unique(key[order], return_index=True)
    leaf = np.flatnonzero(forest.left[nodes] < 0)
    layer = Layer(
        split=parents,
        above=split,
        ancestor=ancestor,
        repeated=np.flatnonzero(ancestor),
        share=share,
        share_above=above,
        order=order,
        starts=starts,
        key=keys,
        leaf=leaf,
        leaf_node=nodes[leaf],
    )
    numbers = edges.add(feature, frontier.edge[twice], share)
    return layer, _Frontier(nodes, output, numbers, frontier.distinct[twice] + (ancestor == 0))


def shares(forest: Forest, parents: Matrix, nodes: Matrix) -> Matrix:
    """The share [nodes] of its parent's training weight that went to each node; a half where the parent had none."""
    of = forest.cover[parents]
    share = np.full(len(nodes), 0.5)
    np.divide(forest.cover[nodes], of, out=share, where=of > 0)
    return np.asarray(np.maximum(share, SMALLEST_SHARE))
