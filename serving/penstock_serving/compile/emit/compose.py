"""Pipelines, and transformers side by side."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array

from penstock_serving.compile.emit.block import Block, Kind
from penstock_serving.compile.emit.emission import Emission, Transformer
from penstock_serving.compile.emit.exact import require, require_parameters

_AS_DOUBLE = {"dtype": [np.float64], "ensure_all_finite": False}


def steps_of(pipeline: Any) -> list[Any]:
    """The fitted steps of a pipeline that do something, in order."""
    require_parameters(pipeline, "steps memory verbose transform_input")
    require(getattr(pipeline, "transform_input", None) is None, pipeline, "transform_input")
    return [step for _, step in pipeline.steps if not _is_unchanged(step)]


def _is_unchanged(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _pipeline(emission: Emission, pipeline: Any, block: Block) -> Block:
    return functools.reduce(lambda given, step: emission.transform(step, given), steps_of(pipeline), block)


def _selected(emission: Emission, block: Block, positions: Sequence[int]) -> Block:
    if list(positions) == list(range(block.width)):
        return block
    features = tuple(block.features[position] for position in positions)
    return Block(emission.graph.columns(block.tensor, positions), features, block.kind, block.bound)


def _side_by_side(emission: Emission, blocks: Sequence[Block]) -> Block:
    kinds = {block.kind for block in blocks}
    kind = Kind.OBJECT if Kind.OBJECT in kinds else Kind.SINGLE if kinds == {Kind.SINGLE} else Kind.DOUBLE
    features = tuple(feature for block in blocks for feature in block.features)
    bound = functools.reduce(lambda one, other: one.either(other), (block.bound for block in blocks))
    return Block(emission.graph.concatenated([block.tensor for block in blocks]), features, kind, bound)


def _columns(emission: Emission, transformer: Any, block: Block) -> Block:
    require_parameters(
        transformer,
        "transformers remainder sparse_threshold n_jobs transformer_weights verbose verbose_feature_names_out",
    )
    require(not transformer.transformer_weights, transformer, "transformer_weights")
    parts = []
    for name, step, _ in transformer.transformers_:
        positions = [int(position) for position in transformer._transformer_to_input_indices[name]]
        if not positions or (isinstance(step, str) and step == "drop"):
            continue
        given = _selected(emission, block, positions)
        parts.append(emission.as_array(given) if _is_unchanged(step) else emission.transform(step, given))
    require(bool(parts), transformer, "no columns left")
    return _side_by_side(emission, parts)


def _union(emission: Emission, union: Any, block: Block) -> Block:
    require_parameters(union, "transformer_list n_jobs transformer_weights verbose verbose_feature_names_out")
    require(not union.transformer_weights, union, "transformer_weights")
    parts = [
        emission.as_array(block) if _is_unchanged(step) else emission.transform(step, block)
        for _, step in union.transformer_list
        if not (isinstance(step, str) and step == "drop")
    ]
    require(bool(parts), union, "no parts left")
    return _side_by_side(emission, parts)


def _function(emission: Emission, transformer: Any, block: Block) -> Block:
    """The identity, as 'passthrough' becomes when fitted; or the check of numbers that gradient boosting makes."""
    require_parameters(
        transformer, "func inverse_func validate accept_sparse check_inverse feature_names_out kw_args inv_kw_args"
    )
    require(not transformer.validate and not transformer.kw_args, transformer, "validate or kw_args")
    function = transformer.func
    if isinstance(function, functools.partial):
        plain = function.func is check_array and not function.args and function.keywords == _AS_DOUBLE
        require(plain, transformer, "a function of its own")
        emission.require_numbers(transformer, block)
        return Block(block.tensor, block.features, Kind.DOUBLE, block.bound)
    require(function is None, transformer, "a function of its own")
    return block


COMPOSED = frozenset({Pipeline, ColumnTransformer, FeatureUnion})
TRANSFORMERS: Mapping[type, Transformer] = {
    Pipeline: _pipeline,
    ColumnTransformer: _columns,
    FeatureUnion: _union,
    FunctionTransformer: _function,
}
