"""From fitted scikit-learn transformers to stages: by exact type, since a subclass may do anything."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import (
    SelectFdr,
    SelectFpr,
    SelectFromModel,
    SelectFwe,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from penstock_serving.explain.read_encoders import read_encoder
from penstock_serving.explain.stages import (
    Arithmetic,
    Branch,
    Branches,
    Category,
    Impute,
    Operation,
    Rounding,
    Select,
    Stage,
)
from penstock_serving.explain.unexplained import UnsupportedError

Stages = tuple[Stage, ...]


def read_stages(transformer: Any, width: int) -> Stages:
    """The stages of a fitted transformer that takes `width` columns; raises `UnsupportedError`."""
    if transformer is None or transformer == "passthrough":
        return ()
    reader = _READERS.get(type(transformer))
    if reader is None:
        raise UnsupportedError(f"{type(transformer).__name__} is not among the transformers that can be explained")
    return reader(transformer, width)


def stages_width(stages: Stages, width: int) -> int:
    """How many columns come out."""
    for stage in stages:
        width = len(stage.origins)
    return width


def _pipeline(pipeline: Pipeline, width: int) -> Stages:
    return read_steps((step for _, step in pipeline.steps), width)


def read_steps(steps: Iterable[Any], width: int) -> Stages:
    """The stages of fitted transformers one after another; raises `UnsupportedError`."""
    found: Stages = ()
    for step in steps:
        found += read_stages(step, stages_width(found, width))
    return found


def _column_transformer(transformer: ColumnTransformer, width: int) -> Stages:
    if transformer.transformer_weights:
        raise UnsupportedError("a ColumnTransformer with transformer_weights is not explained")
    branches = []
    positions_by_name = transformer._transformer_to_input_indices
    for name, inner, _ in transformer.transformers_:
        positions = np.asarray(positions_by_name[name], dtype=np.intp)
        if isinstance(inner, str) and inner == "drop":
            continue
        if len(positions):
            branches.append(Branch(positions, read_stages(inner, len(positions))))
    if not branches:
        raise UnsupportedError("a ColumnTransformer that keeps no column is not explained")
    return (Branches(tuple(branches), width),)


def _function(transformer: FunctionTransformer, _width: int) -> Stages:
    if transformer.func is not None:
        raise UnsupportedError("a FunctionTransformer's function cannot be read")
    return ()


def _standard(scaler: StandardScaler, _width: int) -> Stages:
    found: Stages = ()
    if scaler.with_mean:
        found += (Arithmetic(Operation.SUBTRACT, np.asarray(scaler.mean_, dtype=np.float64)),)
    if scaler.with_std:
        found += (Arithmetic(Operation.DIVIDE, np.asarray(scaler.scale_, dtype=np.float64)),)
    return found


def _robust(scaler: RobustScaler, _width: int) -> Stages:
    found: Stages = ()
    if scaler.with_centering:
        found += (Arithmetic(Operation.SUBTRACT, np.asarray(scaler.center_, dtype=np.float64), Rounding.RESULT),)
    if scaler.with_scaling:
        found += (Arithmetic(Operation.DIVIDE, np.asarray(scaler.scale_, dtype=np.float64), Rounding.RESULT),)
    return found


def _max_abs(scaler: MaxAbsScaler, width: int) -> Stages:
    found: Stages = (Arithmetic(Operation.DIVIDE, np.asarray(scaler.scale_, dtype=np.float64)),)
    return found + (_clip(-1.0, 1.0, width) if getattr(scaler, "clip", False) else ())


def _min_max(scaler: MinMaxScaler, width: int) -> Stages:
    found: Stages = (
        Arithmetic(Operation.MULTIPLY, np.asarray(scaler.scale_, dtype=np.float64)),
        Arithmetic(Operation.ADD, np.asarray(scaler.min_, dtype=np.float64)),
    )
    lowest, highest = scaler.feature_range
    return found + (_clip(lowest, highest, width) if scaler.clip else ())


def _clip(lowest: float, highest: float, width: int) -> Stages:
    return (
        Arithmetic(Operation.AT_LEAST, np.full(width, float(lowest))),
        Arithmetic(Operation.AT_MOST, np.full(width, float(highest))),
    )


def _imputer(imputer: SimpleImputer, width: int) -> Stages:
    statistics = np.asarray(imputer.statistics_)
    unseen = np.array([value is not None and value != value for value in statistics.tolist()])
    kept = np.arange(width) if imputer.keep_empty_features else np.flatnonzero(~unseen)
    indicator = imputer.indicator_
    indicated = np.array([], dtype=np.intp) if indicator is None else np.asarray(indicator.features_, dtype=np.intp)
    missing = imputer.missing_values
    if not (missing is None or isinstance(missing, str | float | int)):
        raise UnsupportedError(f"a SimpleImputer of missing_values of type {type(missing).__name__} is not explained")
    fill = tuple(_scalar(value) for value in statistics.tolist())
    return (Impute(missing if isinstance(missing, str | None) else float(missing), fill, kept, indicated),)


def _scalar(value: object) -> Category:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return float(value)
    raise UnsupportedError(f"a SimpleImputer that fills in a {type(value).__name__} is not explained")


def _selector(selector: Any, width: int) -> Stages:
    return (Select(np.asarray(selector.get_support(indices=True), dtype=np.intp), width),)


def _encoder(encoder: Any, _width: int) -> Stages:
    return (read_encoder(encoder),)


_READERS: Mapping[type, Callable[[Any, int], Stages]] = {
    Pipeline: _pipeline,
    ColumnTransformer: _column_transformer,
    FunctionTransformer: _function,
    StandardScaler: _standard,
    RobustScaler: _robust,
    MaxAbsScaler: _max_abs,
    MinMaxScaler: _min_max,
    SimpleImputer: _imputer,
    OneHotEncoder: _encoder,
    OrdinalEncoder: _encoder,
    TargetEncoder: _encoder,
    **dict.fromkeys(
        (
            SelectFdr,
            SelectFpr,
            SelectFromModel,
            SelectFwe,
            SelectKBest,
            SelectPercentile,
            VarianceThreshold,
        ),
        _selector,
    ),
}
