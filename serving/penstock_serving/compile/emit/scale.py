"""Scalers: one or two elementwise operations by a constant row, rounded as scikit-learn rounds them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler

from penstock_serving.compile.emit.block import Affine, Block, Bound, Feature, Indicator, Kind, Origin
from penstock_serving.compile.emit.emission import Emission, Transformer
from penstock_serving.compile.emit.exact import require_parameters
from penstock_serving.compile.emit.graph import scaled
from penstock_serving.model.frame import Matrix

Step = tuple[str, Matrix]


def _standard(emission: Emission, scaler: Any, block: Block) -> Block:
    require_parameters(scaler, "copy with_mean with_std")
    single = block.kind is Kind.SINGLE
    steps: list[Step] = []
    if scaler.with_mean:
        steps.append(("Sub", _as_held(scaler.mean_, single)))
    if scaler.with_std:
        steps.append(("Div", _as_held(scaler.scale_, single)))
    return _elementwise(emission, scaler, block, steps)


def _min_max(emission: Emission, scaler: Any, block: Block) -> Block:
    require_parameters(scaler, "feature_range copy clip")
    done = _elementwise(emission, scaler, block, [("Mul", scaler.scale_), ("Add", scaler.min_)])
    return _clipped(emission, done, *scaler.feature_range) if scaler.clip else done


def _max_abs(emission: Emission, scaler: Any, block: Block) -> Block:
    require_parameters(scaler, "copy clip")
    done = _elementwise(emission, scaler, block, [("Div", scaler.scale_)])
    return _clipped(emission, done, -1.0, 1.0) if getattr(scaler, "clip", False) else done


def _robust(emission: Emission, scaler: Any, block: Block) -> Block:
    require_parameters(scaler, "with_centering with_scaling quantile_range copy unit_variance")
    steps: list[Step] = []
    if scaler.with_centering:
        steps.append(("Sub", scaler.center_))
    if scaler.with_scaling:
        steps.append(("Div", scaler.scale_))
    return _elementwise(emission, scaler, block, steps)


def _normalizer(emission: Emission, normalizer: Any, block: Block) -> Block:
    require_parameters(normalizer, "norm copy")
    emission.require_numbers(normalizer, block)
    graph = emission.graph
    graph.refuse_not_finite(block)
    axis = graph.integers([1])
    match normalizer.norm:
        case "l1":
            norm = graph.add("ReduceSum", [graph.add("Abs", [block.tensor]), axis], keepdims=1)
        case "l2":
            squares = graph.add("Mul", [block.tensor, block.tensor])
            norm = graph.add("Sqrt", [graph.add("ReduceSum", [squares, axis], keepdims=1)])
        case _:
            norm = graph.add("ReduceMax", [graph.add("Abs", [block.tensor]), axis], keepdims=1)
    is_zero = graph.add("Equal", [norm, graph.doubles(0.0)])
    divisor = graph.add("Where", [is_zero, graph.doubles(1.0), norm])
    features = tuple(Feature(None, None) for _ in block.features)
    tensor = graph.add("Div", [block.tensor, divisor])
    return Block(tensor, features, _floating(block.kind), Bound(0.0, 1.0))


def _floating(kind: Kind) -> Kind:
    return Kind.SINGLE if kind is Kind.SINGLE else Kind.DOUBLE


def _as_held(values: Matrix, single: bool) -> Matrix:  # noqa: FBT001
    return values.astype(np.float32) if single else values


def _elementwise(emission: Emission, scaler: Any, block: Block, steps: Sequence[Step]) -> Block:
    emission.require_numbers(scaler, block)
    graph = emission.graph
    graph.refuse_infinite(block)
    tensor, bound, origins = block.tensor, block.bound, [feature.origin for feature in block.features]
    for operator, values in steps:
        row = np.asarray(values, dtype=np.float64)
        tensor = graph.add(operator, [tensor, graph.doubles(row)])
        if block.kind is Kind.SINGLE:
            tensor = graph.rounded(tensor)
        gain = {"Mul": row, "Div": 1 / row}.get(operator, np.ones_like(row))
        shift = {"Add": row, "Sub": -row}.get(operator, np.zeros_like(row))
        bound = scaled(bound, gain, shift)
        origins = [
            origin.then(float(by), float(plus)) if isinstance(origin, Affine) else _kept(origin)
            for origin, by, plus in zip(origins, gain, shift, strict=True)
        ]
    return Block(tensor, tuple(Feature(None, origin) for origin in origins), _floating(block.kind), bound)


def _kept(origin: Origin | None) -> Indicator | None:
    """A scaled indicator still tells the same values apart."""
    return origin if isinstance(origin, Indicator) else None


def _clipped(emission: Emission, block: Block, low: float, high: float) -> Block:
    graph = emission.graph
    ends = [graph.doubles(np.float64(end)) for end in (low, high)]
    tensor = graph.add("Clip", [block.tensor, *ends])
    return Block(tensor, block.features, block.kind, Bound(0.0, max(abs(low), abs(high))))


TRANSFORMERS: Mapping[type, Transformer] = {
    StandardScaler: _standard,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    RobustScaler: _robust,
    Normalizer: _normalizer,
}
