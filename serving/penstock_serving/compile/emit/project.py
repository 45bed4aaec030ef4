"""Transformers that make new columns from all: principal components, singular vectors, polynomials, bins."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures

from penstock_serving.compile.emit.answers import affine
from penstock_serving.compile.emit.block import Affine, Block, Bound, Feature, Kind
from penstock_serving.compile.emit.emission import Emission, Transformer
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.model.frame import Matrix

_FITTING = (
    "copy iterated_power n_components n_oversamples power_iteration_normalizer random_state svd_solver tol whiten "
    "algorithm n_iter"
)


def _floating(block: Block) -> Kind:
    return Kind.SINGLE if block.kind is Kind.SINGLE else Kind.DOUBLE


def _checked(emission: Emission, transformer: Any, block: Block) -> None:
    emission.require_numbers(transformer, block)
    emission.graph.refuse_not_finite(block)


def _projected(emission: Emission, block: Block, weights: Matrix, shift: Matrix) -> Block:
    """`block @ weights + shift` for weights [columns, components]."""
    largest = float(np.abs(weights).sum(axis=0).max())
    bound = Bound(block.bound.gain * largest, block.bound.offset * largest + float(np.abs(shift).max()))
    tensor = affine(emission.graph, block.tensor, weights, shift)
    return Block(tensor, (Feature(None, None),) * weights.shape[1], _floating(block), bound)


def _pca(emission: Emission, pca: Any, block: Block) -> Block:
    require_parameters(pca, _FITTING)
    _checked(emission, pca, block)
    components = np.asarray(pca.components_, dtype=np.float64)
    projected = _projected(emission, block, components.T, -(np.asarray(pca.mean_, dtype=np.float64) @ components.T))
    if not pca.whiten:
        return projected
    scale = np.maximum(np.sqrt(pca.explained_variance_), np.finfo(pca.explained_variance_.dtype).eps).astype(np.float64)
    tensor = emission.graph.add("Div", [projected.tensor, emission.graph.doubles(scale)])
    gain = float(1 / scale.min())
    bound = Bound(projected.bound.gain * gain, projected.bound.offset * gain)
    return Block(tensor, projected.features, projected.kind, bound)


def _svd(emission: Emission, svd: Any, block: Block) -> Block:
    require_parameters(svd, _FITTING)
    _checked(emission, svd, block)
    components = np.asarray(svd.components_, dtype=np.float64)
    return _projected(emission, block, components.T, np.zeros(len(components)))


def _polynomial(emission: Emission, features: Any, block: Block) -> Block:
    require_parameters(features, "degree interaction_only include_bias order")
    _checked(emission, features, block)
    graph, powers = emission.graph, np.asarray(features.powers_)
    degree = int(powers.sum(axis=1).max())
    ones = graph.add(
        "Add", [graph.add("Mul", [graph.columns(block.tensor, [0]), graph.doubles(0.0)]), graph.doubles(1.0)]
    )
    padded = graph.concatenated([block.tensor, ones])
    factors = [[column for column, power in enumerate(term) for _ in range(power)] for term in powers.tolist()]
    slots = [[term[slot] if slot < len(term) else block.width for term in factors] for slot in range(max(degree, 1))]
    tensor = graph.columns(padded, slots[0])
    for slot in slots[1:]:
        tensor = graph.add("Mul", [tensor, graph.columns(padded, slot)])
        if block.kind is Kind.SINGLE:
            tensor = graph.rounded(tensor)
    plain = [block.features[term[0]].origin if len(term) == 1 else None for term in factors]
    gain = block.bound
    # a product stays within any limit up to 1e300 while its factors stay within the degree-th root of it
    bound = (
        gain if degree <= 1 else Bound(gain.gain * 1e300 ** (1 - 1 / degree), gain.offset * 1e300 ** (1 - 1 / degree))
    )
    return Block(tensor, tuple(Feature(None, origin) for origin in plain), _floating(block), bound)


def _bins(emission: Emission, binner: Any, block: Block) -> Block:
    require_parameters(binner, "n_bins encode strategy quantile_method dtype subsample random_state")
    require(binner.dtype in (None, np.float64), binner, "dtype float32")
    _checked(emission, binner, block)
    graph = emission.graph
    inner = [np.asarray(edges, dtype=np.float64)[1:-1] for edges in binner.bin_edges_]
    column = np.concatenate([np.full(len(edges), index) for index, edges in enumerate(inner)]).astype(np.int64)
    require(len(column) > 0, binner, "one bin in every column")
    for feature, edges in zip(block.features, inner, strict=True):
        if isinstance(feature.origin, Affine):
            for edge in edges.tolist():
                emission.notice(feature.origin.column, feature.origin.inverse(edge))
    at_least = graph.add(
        "GreaterOrEqual", [graph.columns(block.tensor, column.tolist()), graph.doubles([np.concatenate(inner)])]
    )
    counted = np.zeros((len(column), block.width))
    counted[np.arange(len(column)), column] = 1.0
    codes = graph.add("MatMul", [graph.double(at_least), graph.doubles(counted)])
    most = float(max(len(edges) for edges in inner) + 1)
    coded = Block(codes, (Feature(None, None),) * block.width, _floating(block), Bound(0.0, most))
    return coded if binner.encode == "ordinal" else emission.transform(binner._encoder, coded)


TRANSFORMERS: Mapping[type, Transformer] = {
    PCA: _pca,
    TruncatedSVD: _svd,
    PolynomialFeatures: _polynomial,
    KBinsDiscretizer: _bins,
}
