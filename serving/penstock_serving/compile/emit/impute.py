"""Imputing missing values by constants, in numbers and in text."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer

from penstock_serving.compile.emit.block import Affine, Block, Bound, Feature, Indicator, Kind
from penstock_serving.compile.emit.emission import Emission, Transformer, is_nan
from penstock_serving.compile.emit.exact import require, require_parameters

_ARITHMETIC = frozenset({"mean", "median"})


def _simple(emission: Emission, imputer: Any, block: Block) -> Block:
    require_parameters(imputer, "missing_values strategy fill_value copy add_indicator keep_empty_features")
    require(isinstance(imputer.strategy, str), imputer, "a strategy that is a function")
    if imputer.strategy in _ARITHMETIC:
        emission.require_numbers(imputer, block)
    graph = emission.graph
    kept = [position for position, value in enumerate(imputer.statistics_) if not is_nan(value)]
    complete = len(kept) == block.width
    require(complete or not imputer.keep_empty_features, imputer, "columns kept that had no value")
    require(bool(kept), imputer, "no column that had a value")
    mask = _missing(emission, imputer, block)
    fills = [
        _fill(emission, imputer, position, block) if position in kept else np.nan for position in range(block.width)
    ]
    filled = graph.add("Where", [mask, graph.doubles([fills]), block.tensor])
    features = tuple(block.features[position] for position in kept)
    if not complete:
        filled = graph.columns(filled, kept)
    as_double = imputer.strategy in _ARITHMETIC and block.kind is Kind.OBJECT
    largest = float(np.nanmax(np.abs(fills), initial=0.0))
    bound = block.bound.either(Bound(0.0, largest))
    if imputer.add_indicator:
        flagged = imputer.indicator_.features_.tolist()
        if flagged:
            marks = graph.double(graph.columns(mask, flagged))
            filled = graph.concatenated([filled, marks])
            features += tuple(_mark(block.features[position]) for position in flagged)
            bound = bound.either(Bound(0.0, 1.0))
    return Block(filled, features, Kind.DOUBLE if as_double else block.kind, bound)


def _mark(feature: Feature) -> Feature:
    column = feature.text
    if isinstance(feature.origin, Affine):
        column = feature.origin.column
    return Feature(None, None if column is None else Indicator(column, (None,), ()))


def _missing(emission: Emission, imputer: Any, block: Block) -> str:
    """Where values are missing; refuses what scikit-learn's validation refuses."""
    graph, marker = emission.graph, imputer.missing_values
    checked = block.kind is not Kind.OBJECT or imputer.strategy in _ARITHMETIC
    if is_nan(marker):
        if checked:
            graph.refuse_infinite(block)
        numbers = graph.constant(np.array([[feature.text is None for feature in block.features]]))
        holes = graph.add("And", [graph.add("IsNaN", [block.tensor]), numbers])
        codes = [np.nan if feature.text is None else emission.code(feature.text, marker) for feature in block.features]
        if np.isnan(codes).all():
            return holes
        return graph.add("Or", [holes, graph.add("Equal", [block.tensor, graph.doubles([codes])])])
    require(marker is None or type(marker) in {int, float, str}, imputer, "this marker of missing values")
    if checked:
        graph.refuse_not_finite(block)
    numeric = [position for position, feature in enumerate(block.features) if feature.text is None]
    if numeric:
        graph.refuse_where(graph.add("IsNaN", [graph.columns(block.tensor, numeric)]))
    markers = []
    for feature in block.features:
        if feature.text is not None:
            markers.append(emission.code(feature.text, marker))
        else:
            markers.append(float(marker) if isinstance(marker, int | float) else np.nan)
            if isinstance(marker, int | float) and isinstance(feature.origin, Affine):
                emission.notice(feature.origin.column, feature.origin.inverse(float(marker)))
    return graph.add("Equal", [block.tensor, graph.doubles([markers])])


def _fill(emission: Emission, imputer: Any, position: int, block: Block) -> float:
    value, column = imputer.statistics_[position], block.features[position].text
    if column is not None:
        require(isinstance(value, str), imputer, "a text column filled by something else than text")
        return emission.code(column, value)
    require(isinstance(value, int | float | np.number | np.bool_), imputer, "a number filled by something else")
    return float(np.float32(value)) if block.kind is Kind.SINGLE else float(value)


TRANSFORMERS: Mapping[type, Transformer] = {SimpleImputer: _simple}
