"""Encoders of categories, numbers or text: equality with each known category."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from penstock_serving.compile.emit.block import Affine, Block, Bound, Coded, Feature, Indicator, Kind, Origin
from penstock_serving.compile.emit.emission import Emission, Transformer, is_nan
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.compile.errors import NotCompiledError
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Label


@dataclass(frozen=True, slots=True)
class _Matches:
    """A float64 tensor [rows, categories of all columns], 1 where a value equals a category; and whose they are."""

    tensor: str
    column: Matrix
    position: Matrix
    inputs: tuple[int | None, ...]
    values: tuple[tuple[Label | None, ...], ...]

    @property
    def columns(self) -> int:
        return len(self.values)

    def weights(self, value: Matrix) -> Matrix:
        """[categories, columns]: `value` of each category in the column of its own, else 0."""
        matrix = np.zeros((len(self.column), self.columns))
        matrix[np.arange(len(self.column)), self.column] = value
        return matrix


def _matches(emission: Emission, encoder: Any, block: Block) -> _Matches:
    graph = emission.graph
    if block.kind is not Kind.OBJECT:
        graph.refuse_infinite(block)
    require(not encoder._infrequent_enabled, encoder, "infrequent categories")
    column, position, wanted, nan, values = [], [], [], [], []
    for index, (feature, categories) in enumerate(zip(block.features, encoder.categories_, strict=True)):
        known = tuple(_category(emission, feature, value) for value in categories.tolist())
        values.append(known)
        for place, value in enumerate(categories.tolist()):
            column.append(index)
            position.append(place)
            is_missing = feature.text is None and is_nan(value)
            nan.append(is_missing)
            wanted.append(np.nan if is_missing else _held(emission, encoder, feature, value))
    cells = graph.columns(block.tensor, column)
    equal = graph.add("Equal", [cells, graph.doubles([wanted])])
    if any(nan):
        missing = graph.add("And", [graph.add("IsNaN", [cells]), graph.constant(np.array([nan]))])
        equal = graph.add("Or", [equal, missing])
    inputs = tuple(_input(feature) for feature in block.features)
    return _Matches(graph.double(equal), np.array(column), np.array(position), inputs, tuple(values))


def _input(feature: Feature) -> int | None:
    """The input column whose values a feature holds as they are, or as positions in a list."""
    if feature.text is not None:
        return feature.text
    match feature.origin:
        case Affine(column, scale, shift) if scale == 1 and shift == 0:
            return column
        case Coded(column):
            return column
    return None


def _held(emission: Emission, encoder: Any, feature: Feature, value: Any) -> float:
    """A category as it stands in the block; NaN for one that no value can equal."""
    if feature.text is not None:
        return emission.code(feature.text, value)
    if isinstance(value, bool | int | float) and float(value) == value:
        return float(value)
    raise NotCompiledError(f"the {type(encoder).__name__} has a category that is no number in a column of numbers")


def _category(emission: Emission, feature: Feature, value: Any) -> Label | None:
    """A category for the proof's rows, where the column is an input as it is; None for a missing value."""
    column = _input(feature)
    label: Label | None = None if is_nan(value) else value
    if isinstance(feature.origin, Coded):
        place, values = -1 if label is None else int(value), feature.origin.values
        label = values[place] if 0 <= place < len(values) else None
    if column is not None:
        emission.notice(column, label)
    return label


def _require_known(emission: Emission, matches: _Matches) -> None:
    graph = emission.graph
    found = graph.add("MatMul", [matches.tensor, graph.doubles(matches.weights(np.ones(len(matches.column))))])
    graph.refuse_where(graph.add("Less", [found, graph.doubles(0.5)]))


def _kind(encoder: Any) -> Kind:
    dtype = np.dtype(encoder.dtype)
    require(dtype.kind in "fiu" and dtype.itemsize >= 4, encoder, f"dtype {dtype}")
    return Kind.SINGLE if dtype == np.float32 else Kind.DOUBLE


def _one_hot(emission: Emission, encoder: Any, block: Block) -> Block:
    require_parameters(
        encoder, "categories drop dtype handle_unknown sparse_output feature_name_combiner max_categories min_frequency"
    )
    matches = _matches(emission, encoder, block)
    if encoder.handle_unknown == "error":
        _require_known(emission, matches)
    dropped = encoder._drop_idx_after_grouping
    kept = [
        index
        for index, (column, position) in enumerate(zip(matches.column, matches.position, strict=True))
        if dropped is None or dropped[column] != position
    ]
    tensor = matches.tensor if len(kept) == len(matches.column) else emission.graph.columns(matches.tensor, kept)
    return Block(tensor, tuple(_indicator(matches, index) for index in kept), _kind(encoder), Bound(0.0, 1.0))


def _indicator(matches: _Matches, index: int) -> Feature:
    column = matches.inputs[matches.column[index]]
    if column is None:
        return Feature(None, None)
    place, values = int(matches.position[index]), matches.values[matches.column[index]]
    return Feature(None, Indicator(column, (values[place],), values[:place] + values[place + 1 :]))


def _ordinal(emission: Emission, encoder: Any, block: Block) -> Block:
    require_parameters(
        encoder,
        "categories dtype handle_unknown unknown_value encoded_missing_value max_categories min_frequency",
    )
    graph = emission.graph
    matches = _matches(emission, encoder, block)
    codes = graph.add("MatMul", [matches.tensor, graph.doubles(matches.weights(matches.position.astype(np.float64)))])
    missing = [[float(encoder._missing_indices.get(column, np.nan)) for column in range(matches.columns)]]
    if encoder._missing_indices:
        stands = graph.doubles(float(encoder.encoded_missing_value))
        codes = graph.add("Where", [graph.add("Equal", [codes, graph.doubles(missing)]), stands, codes])
    if encoder.handle_unknown == "error":
        _require_known(emission, matches)
    else:
        found = graph.add("MatMul", [matches.tensor, graph.doubles(matches.weights(np.ones(len(matches.column))))])
        unknown = graph.add("Less", [found, graph.doubles(0.5)])
        codes = graph.add("Where", [unknown, graph.doubles(float(encoder.unknown_value)), codes])
    origins: list[Origin | None] = [
        None if column is None else Coded(column, values)
        for column, values in zip(matches.inputs, matches.values, strict=True)
    ]
    most = max(len(values) for values in matches.values)
    specials = [
        abs(float(value)) for value in (encoder.unknown_value, encoder.encoded_missing_value) if value is not None
    ]
    largest = max([most, *(value for value in specials if value == value)])
    return Block(codes, tuple(Feature(None, origin) for origin in origins), _kind(encoder), Bound(0.0, float(largest)))


TRANSFORMERS: Mapping[type, Transformer] = {OneHotEncoder: _one_hot, OrdinalEncoder: _ordinal}
