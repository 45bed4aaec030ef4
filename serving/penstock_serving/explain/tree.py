"""Exact Shapley values of trees, for the game in which an unknown feature follows the training rows down both branches.

That is the path-dependent game of Lundberg, Erion & Lee, "Consistent Individualized Feature Attribution for Tree
Ensembles" (arXiv 1802.03888, Algorithm 1), which `shap` calls `tree_path_dependent`. A leaf of value c whose path uses
d features is worth

    v(S) = c · Π_{j in S} o_j · Π_{j not in S} z_j

with o_j = 1 where the row follows every split by j on the path, else 0, and z_j the share of training weight that
follows them. The Shapley value is the integral of the multilinear extension's slope along the diagonal (Owen,
"Multilinear Extensions of Games", Management Science 18(5), 1972, equation 7):

    φ_i = c · (o_i − z_i) · ∫₀¹ Π_{j≠i} (z_j·(1−t) + o_j·t) dt

The integrand is a polynomial of degree d − 1, so Gauss-Legendre quadrature with ⌈d/2⌉ nodes is exact. Every factor is
positive, so nothing cancels. As in Linear TreeSHAP (Yu, Bifet, Read & Xu, "Linear tree Shap", NeurIPS 2022, section 3)
the products are carried down the tree and their sums over leaves back up, once for all features: an edge by a feature
that was met above replaces that feature's factor, and takes back what the upper edge was given for the leaves below.
Here the polynomials are held as values at the nodes of the quadrature, and a whole depth of all trees is one array.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from penstock_serving.explain.layers import Layer, Layered, chunks, layered, shares
from penstock_serving.explain.plan import Forest, Precision
from penstock_serving.model.frame import Matrix

_CHUNK_NODES = 40_000
_BLOCK_ELEMENTS = 400_000

Pause = Callable[[], None]


def goes_left(forest: Forest, made: Matrix, nodes: Matrix) -> Matrix:
    """Whether [nodes, rows] each row of `made` [rows, made columns] goes left at each of these nodes.

    The rules are scikit-learn's: missing values as the node says, categories by its table, else `value <= threshold`.
    """
    values = made.T[forest.feature[nodes]]
    return _left(forest, values, nodes[:, None])


def _left(forest: Forest, values: Matrix, nodes: Matrix) -> Matrix:
    left = np.asarray(values <= forest.threshold[nodes])
    tables = forest.table[nodes]
    if (tables >= 0).any():
        codes = np.where((values >= 0) & (values < 256), values, 0).astype(np.intp)
        by_table = forest.lefts[np.maximum(tables, 0), codes]
        in_range = (values >= 0) & (values < 256)
        left = np.where(tables >= 0, np.where(in_range, by_table, forest.missing_left[nodes]), left)
    return np.where(np.isnan(values), forest.missing_left[nodes], left)


def compared(forest: Forest, made: Matrix) -> Matrix:
    """The made columns in the precision in which the trees compare."""
    return made.astype(np.float32 if forest.precision is Precision.SINGLE else np.float64)


def margins(forest: Forest, made: Matrix) -> Matrix:
    """What the trees add up to [rows, outputs], by following each row down: independent of the contributions."""
    rows = np.arange(len(made))[:, None]
    total = np.repeat(forest.base[None, :], len(made), axis=0)
    for trees in chunks(forest, _BLOCK_ELEMENTS):
        node = np.repeat(forest.roots[trees][None, :], len(made), axis=0)
        while (forest.left[node] >= 0).any():
            inner = forest.left[node] >= 0
            feature = np.where(inner, forest.feature[node], 0)
            left = _left(forest, made[rows, feature], node)
            node = np.where(inner, np.where(left, forest.left[node], forest.right[node]), node)
        _add_leaves(forest, trees, forest.values[node], total)
    return total


def _add_leaves(forest: Forest, trees: Matrix, leaves: Matrix, total: Matrix) -> None:
    """Add the leaves' values [rows, trees, 1 or outputs] to the outputs of their trees."""
    output = forest.output[trees]
    total += leaves[:, output < 0].sum(axis=1)
    for number in np.unique(output[output >= 0]).tolist():
        total[:, number] += leaves[:, output == number, 0].sum(axis=1)


def base_values(forest: Forest) -> Matrix:
    """The expected margin [outputs] with every feature unknown."""
    total = forest.base.copy()[None, :]
    for trees in chunks(forest, _BLOCK_ELEMENTS):
        nodes, tree = forest.roots[trees], np.arange(len(trees))
        reached = np.ones(len(nodes))
        sums = np.zeros((1, len(trees), forest.values.shape[1]))
        while len(nodes):
            leaf = forest.left[nodes] < 0
            np.add.at(sums[0], tree[leaf], reached[leaf, None] * forest.values[nodes[leaf]])
            nodes, tree, reached = nodes[~leaf], tree[~leaf], reached[~leaf]
            children = np.concatenate([forest.left[nodes], forest.right[nodes]])
            reached = np.tile(reached, 2) * shares(forest, np.tile(nodes, 2), children)
            nodes, tree = children, np.tile(tree, 2)
        _add_leaves(forest, trees, sums, total)
    return np.asarray(total[0])


@dataclass(frozen=True, slots=True)
class _Down:
    """What is kept of a layer on the way down: whether rows follow each edge's feature so far, and its ancestor's
    [edges, rows], and the products at the layer's nodes [edges, rows, quadrature]."""

    follows: Matrix
    followed: Matrix
    product: Matrix


class TreeShap:
    """Contributions of made columns, added up by input column; prepared once for a forest."""

    def __init__(self, forest: Forest, columns: Matrix, width: int) -> None:
        """`columns` [made columns] tells the input column, of `width`, that each made column comes from."""
        self._forest, self._width = forest, width
        self._outputs = len(forest.base)
        self._parts = [layered(forest, trees, columns, width) for trees in chunks(forest, _CHUNK_NODES)]
        self._several = forest.values.shape[1] > 1
        self._complementary = self._several and _is_complementary(forest)

    def contributions(self, made: Matrix, pause: Pause) -> Matrix:
        """Contributions [rows, input columns, outputs] for made columns [rows, made columns].

        `pause` is called between blocks of about a hundredth of a second; what it raises passes through.
        """
        found = np.zeros((self._outputs * self._width, len(made)))
        for part in self._parts:
            nodes = max((len(layer.ancestor) for layer in part.layers), default=1)
            quadrature = max(1, -(-part.distinct // 2))
            step = max(1, _BLOCK_ELEMENTS // (nodes * quadrature))
            for start in range(0, len(made), step):
                rows = slice(start, start + step)
                self._add(part, made[rows], quadrature, found[:, rows])
                pause()
        return found.reshape(self._outputs, self._width, len(made)).transpose(2, 1, 0)

    def _add(self, part: Layered, made: Matrix, quadrature: int, found: Matrix) -> None:
        points, weights = np.polynomial.legendre.leggauss(quadrature)
        known = (points + 1) / 2
        downs = _descend(self._forest, part, made, known)
        if not self._several:
            _ascend(part, downs, self._forest.values[:, 0], known, weights / 2, found)
            return
        last = self._outputs - 1
        by_output = found.reshape(self._outputs, self._width, -1)
        for output in range(last if self._complementary else self._outputs):
            _ascend(part, downs, self._forest.values[:, output], known, weights / 2, by_output[output])
        if self._complementary:
            by_output[last] = -by_output[:last].sum(axis=0)


def _is_complementary(forest: Forest) -> bool:
    """Whether each leaf's values add up to the same (probabilities): the last output then mirrors the others."""
    sums = forest.values[forest.left < 0].sum(axis=1)
    return bool(np.ptp(sums) <= 1e-12 * np.abs(sums).max())


def _factor(share: Matrix, follows: Matrix, known: Matrix) -> Matrix:
    """z·(1−t) + o·t [edges, rows, quadrature]."""
    return np.asarray(share[:, None, None] * (1 - known) + follows[:, :, None] * known)


def _descend(forest: Forest, part: Layered, made: Matrix, known: Matrix) -> list[_Down]:
    rows = len(made)
    follows = np.ones((part.edges, rows), dtype=bool)
    product = np.ones((len(part.roots), rows, len(known)))
    downs = []
    first = 1
    for layer in part.layers:
        left = goes_left(forest, made, layer.split)
        followed = follows[layer.ancestor]
        here = np.concatenate([left, ~left]) & followed
        follows[first : first + len(here)] = here
        first += len(here)
        product = np.tile(product[layer.above], (2, 1, 1)) * _factor(layer.share, here, known)
        again = layer.repeated
        if len(again):
            product[again] /= _factor(layer.share_above[again], followed[again], known)
        downs.append(_Down(here, followed, product))
    return downs


def _ascend(part: Layered, downs: list[_Down], values: Matrix, known: Matrix, weights: Matrix, found: Matrix) -> None:
    """Add one output's contributions to `found` [keys, rows], from the deepest layer up."""
    below: Matrix | None = None
    splits: Matrix | None = None
    for layer, down in zip(reversed(part.layers), reversed(downs), strict=True):
        sums = np.zeros_like(down.product)
        sums[layer.leaf] = down.product[layer.leaf] * values[layer.leaf_node, None, None]
        if below is not None:
            half = len(below) // 2
            sums[splits] = below[:half] + below[half:]
        _gather(layer, down, sums, known, weights, found)
        below, splits = sums, layer.above


def _gather(layer: Layer, down: _Down, sums: Matrix, known: Matrix, weights: Matrix, found: Matrix) -> None:
    slope = (sums / _factor(layer.share, down.follows, known)) @ weights
    added = (down.follows - layer.share[:, None]) * slope
    again = layer.repeated
    if len(again):
        share, followed = layer.share_above[again], down.followed[again]
        slope = (sums[again] / _factor(share, followed, known)) @ weights
        added[again] -= (followed - share[:, None]) * slope
    found[layer.key] += np.add.reduceat(added[layer.order], layer.starts, axis=0)
