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
Here the polynomials are held as values at the nodes of the quadrature, one node after another, and a whole depth of many
trees is one array.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from penstock_serving.explain.layers import Layered, chunks, layered, shares
from penstock_serving.explain.plan import Forest, Precision
from penstock_serving.model.frame import Matrix

_CHUNK_NODES = 150_000
_BLOCK_ELEMENTS = 150_000

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
class _Followed:
    """A layer's edges and some rows: 1 where a row follows the edge's feature down to the edge, else 0, [edges, rows];
    and for the edges by a feature met above, the same of that feature's edge above, [repeated edges, rows]."""

    here: Matrix
    above: Matrix


@dataclass(frozen=True, slots=True)
class _Products:
    """At one point of the quadrature: factors of a layer's edges and of their features' edges above, and the products
    of the factors down to the layer's nodes, [edges, rows] each."""

    here: Matrix
    above: Matrix
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

        `pause` is called between blocks of some hundredths of a second; what it raises passes through.
        """
        found = np.zeros((self._outputs * self._width, len(made)))
        for part in self._parts:
            step = max(1, _BLOCK_ELEMENTS // part.edges)
            for start in range(0, len(made), step):
                rows = slice(start, start + step)
                self._add(part, made[rows], found[:, rows])
                pause()
        return found.reshape(self._outputs, self._width, len(made)).transpose(2, 1, 0)

    def _add(self, part: Layered, made: Matrix, found: Matrix) -> None:
        followed = _follow(self._forest, part, made)
        if not self._several:
            _add_output(part, followed, self._forest.values[:, 0], found)
            return
        last = self._outputs - 1
        by_output = found.reshape(self._outputs, self._width, -1)
        for output in range(last if self._complementary else self._outputs):
            _add_output(part, followed, self._forest.values[:, output], by_output[output])
        if self._complementary:
            by_output[last] = -by_output[:last].sum(axis=0)


def _is_complementary(forest: Forest) -> bool:
    """Whether each leaf's values add up to the same (probabilities): the last output then mirrors the others."""
    sums = forest.values[forest.left < 0].sum(axis=1)
    return bool(np.ptp(sums) <= 1e-12 * np.abs(sums).max())


def _follow(forest: Forest, part: Layered, made: Matrix) -> list[_Followed]:
    follows = np.ones((part.edges, len(made)))
    found = []
    first = 1
    for layer in part.layers:
        left = goes_left(forest, made, layer.split)
        here = follows[first : first + len(layer.ancestor)]
        above = follows[layer.ancestor]
        np.multiply(np.concatenate([left, ~left]), above, out=here)
        found.append(_Followed(here, above[layer.repeated]))
        first += len(here)
    return found


def _add_output(part: Layered, followed: list[_Followed], values: Matrix, found: Matrix) -> None:
    """Add the contributions to one output, whose leaves' values are `values` [nodes], to `found` [keys, rows]."""
    points, weights = np.polynomial.legendre.leggauss(max(1, -(-part.distinct // 2)))
    slopes = [_Followed(np.zeros_like(each.here), np.zeros_like(each.above)) for each in followed]
    for point, weight in zip(points.tolist(), weights.tolist(), strict=True):
        _add_slopes(part, _descend(part, followed, (point + 1) / 2), values, weight / 2, slopes)
    for layer, each, slope in zip(part.layers, followed, slopes, strict=True):
        added = (each.here - layer.share[:, None]) * slope.here
        added[layer.repeated] -= (each.above - layer.share_above[layer.repeated, None]) * slope.above
        found[layer.key] += np.add.reduceat(added[layer.order], layer.starts, axis=0)


def _factor(share: Matrix, follows: Matrix, known: float) -> Matrix:
    """z·(1−t) + o·t [edges, rows]."""
    factor = follows * known
    factor += (share * (1 - known))[:, None]
    return factor


def _descend(part: Layered, followed: list[_Followed], known: float) -> list[_Products]:
    """The products of the factors at t = `known`, from the roots down."""
    found: list[_Products] = []
    for layer, each in zip(part.layers, followed, strict=True):
        here = _factor(layer.share, each.here, known)
        above = _factor(layer.share_above[layer.repeated], each.above, known)
        product = here.copy()
        if found:
            parents = found[-1].product[layer.above]
            half = len(parents)
            product[:half] *= parents
            product[half:] *= parents
        if len(above):
            product[layer.repeated] /= above
        found.append(_Products(here, above, product))
    return found


def _add_slopes(
    part: Layered, products: list[_Products], values: Matrix, weight: float, slopes: list[_Followed]
) -> None:
    """Add each edge's slope at one point, `weight` times the sum over the leaves below it of value and product without
    the edge's own factor; from the deepest layer up."""
    below: Matrix | None = None
    splits: Matrix | None = None
    for layer, each, slope in zip(reversed(part.layers), reversed(products), reversed(slopes), strict=True):
        sums = each.product
        sums[layer.leaf] *= (values[layer.leaf_node] * weight)[:, None]
        if below is not None:
            half = len(below) // 2
            sums[splits] = below[:half] + below[half:]
        slope.here[...] += sums / each.here
        slope.above[...] += sums[layer.repeated] / each.above
        below, splits = sums, layer.above
