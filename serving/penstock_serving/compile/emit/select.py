"""Selectors of columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold

from penstock_serving.compile.emit.block import Block, Kind
from penstock_serving.compile.emit.emission import Emission, Transformer
from penstock_serving.compile.emit.exact import require, require_parameters

_FITTING = (
    "k percentile score_func threshold estimator importance_getter max_features norm_order prefit "
    "n_features_to_select step verbose"
)


def _selector(emission: Emission, selector: Any, block: Block) -> Block:
    require_parameters(selector, _FITTING)
    emission.require_numbers(selector, block)
    graph = emission.graph
    if not selector.__sklearn_tags__().input_tags.allow_nan:
        if block.kind is Kind.OBJECT:
            graph.refuse_where(graph.add("IsNaN", [block.tensor]))
        else:
            graph.refuse_not_finite(block)
    kept = np.flatnonzero(selector.get_support()).tolist()
    require(bool(kept), selector, "no column selected")
    features = tuple(block.features[position] for position in kept)
    return Block(graph.columns(block.tensor, kept), features, block.kind, block.bound)


TRANSFORMERS: Mapping[type, Transformer] = dict.fromkeys(
    (SelectKBest, SelectPercentile, VarianceThreshold, SelectFromModel, RFE), _selector
)
