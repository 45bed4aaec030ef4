"""Calling a model that is not compiled by its arithmetic alone, where that answers to the last bit as the model does.

It is put together when the model is loaded, and compared with the model's own methods on rows from the signature: usual
ones, some also alone, others a little beyond what it was fitted on, and with missing values where it takes them. One other
bit, usual rows that the arithmetic leaves to the model, a call that takes so long that its checks do not count, anything
that goes wrong on the way, and the model is called as it always was. So is it for single rows that are left to it.
"""

import functools
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from penstock_serving.compile.candidates import held, special_numbers
from penstock_serving.model.arithmetic import (
    LeftToEstimatorError,
    Step,
    arithmetic,
    as_it_is,
    has_settings,
    kind,
    steps_of,
)
from penstock_serving.model.frame import Matrix
from penstock_serving.model.outputs import MODELS_OWN, dense
from penstock_serving.model.search import found
from penstock_serving.model.signature import Column, Signature

Method = Callable[[Matrix], Matrix]

_USUAL_ROWS = 16
_ALONE_ROWS = 4
_SPECIAL_ROWS = 24
_MISSING_ROWS = 8
_SLOW_SECONDS = 0.02
"""Where one row takes the estimator longer than this, what it checks is not what it takes."""
_PATIENCE_SECONDS = 5.0
"""For how long a start may wait for the comparison: a model's own step may ask a service elsewhere."""


def direct(estimator: Any, own: Mapping[str, Method], signature: Signature) -> dict[str, Method]:
    """Those of the methods `own` of a fitted estimator whose arithmetic is known and answers alike, called by that."""
    methods = dict[str, Method]()
    if not signature.is_numeric or signature.has_single_precision or not _is_as_installed():
        return methods
    tried = functools.cache(lambda: tried_rows(signature))
    for name, method in own.items():
        try:
            steps = _computed(found(estimator), name)
            if steps is not None and _answers_alike(steps, method, *tried()):
                methods[name] = Direct(steps, method)
        except Exception:  # noqa: BLE001, S112  (it is a matter of speed alone, and the model is served without)
            continue
    return methods


class Direct:
    """A method by its arithmetic, and by the estimator for rows that are left to it, or that anything is wrong with."""

    def __init__(self, steps: Step, method: Method) -> None:
        self.steps, self.own = steps, method

    def __call__(self, matrix: Matrix) -> Matrix:
        try:
            # A copy: a step may write where it reads, and the estimator may yet be asked about the same rows.
            return dense(self.steps(matrix.copy(order="K")))
        except (LeftToEstimatorError, *MODELS_OWN):
            return self.own(matrix)


def _is_as_installed() -> bool:
    """Whether scikit-learn is set to do what it does where nobody sets anything."""
    from sklearn import get_config

    config = get_config()
    return not (
        config["enable_metadata_routing"] or config["array_api_dispatch"] or config["transform_output"] != "default"
    )


def _computed(estimator: Any, name: str) -> Step | None:
    """A method of an estimator step by step, or None where that is what the estimator does by itself."""
    if has_settings(estimator):
        return None
    match kind(estimator):
        case "sklearn.pipeline.Pipeline":
            steps = steps_of(estimator)
            if not steps:
                return None
            last = steps.pop() if name != "transform" else None
            parts = [_step(step, "transform") for step in steps]
            return _in_turn([*parts, _step(last, name)] if last is not None else parts)
        case "sklearn.compose._column_transformer.ColumnTransformer" if name == "transform":
            return _side_by_side(estimator)
    return arithmetic(estimator, name)


def _step(estimator: Any, name: str) -> Step:
    method: Step = _computed(estimator, name) or getattr(estimator, name)
    return method


def _in_turn(steps: list[Step]) -> Step:
    def computed(rows: Any) -> Any:
        for step in steps:
            rows = step(rows)
        return rows

    return computed


def _side_by_side(transformer: Any) -> Step | None:
    if transformer.sparse_output_ or transformer.transformer_weights:
        return None
    width, places = transformer.n_features_in_, transformer._transformer_to_input_indices
    parts: list[tuple[Any, Step]] = []
    for name, step, columns in transformer.transformers_:
        if (isinstance(step, str) and step == "drop") or not len(places[name]):
            continue
        if np.isscalar(columns):
            return None
        chosen = columns if isinstance(columns, slice) else list(places[name])
        parts.append((chosen, as_it_is if isinstance(step, str) else _step(step, "transform")))

    def computed(rows: Any) -> Matrix:
        if type(rows) is not np.ndarray or rows.ndim != 2 or rows.shape[1] != width or not parts:
            raise LeftToEstimatorError
        # all before the first step, which may write where it reads
        taken = [rows[:, columns] for columns, _ in parts]
        made = [dense(step(part)) for part, (_, step) in zip(taken, parts, strict=True)]
        if any(part.ndim != 2 for part in made):
            raise LeftToEstimatorError
        return np.hstack(made)

    return computed


def tried_rows(signature: Signature) -> tuple[Matrix, list[Matrix]]:
    """Rows by which two ways to compute a model's outputs are compared: usual ones [rows, columns], and others, each by
    itself [1, columns]."""
    usual = _usual_rows(signature)
    return usual, _special_rows(signature, usual)


def _usual_rows(signature: Signature) -> Matrix:
    """Rows [n, columns] as the model was fitted on."""
    rng = np.random.default_rng(0)
    drawn = [held(rng.uniform(*_fitted_on(column), _USUAL_ROWS).tolist(), column) for column in signature.columns]
    return np.stack([np.resize(values or [0.0], _USUAL_ROWS) for values in drawn], axis=1)


def _special_rows(signature: Signature, usual: Matrix) -> list[Matrix]:
    """Single rows [1, columns]: a little beyond what the model was fitted on, and with missing values where it takes them.

    Nothing that only a strange request would bring: it is a model's own code, perhaps, that is asked.
    """
    rng = np.random.default_rng(1)
    special = usual[rng.integers(0, len(usual), _SPECIAL_ROWS)]
    for place, column in enumerate(signature.columns):
        chosen = rng.random(_SPECIAL_ROWS) < max(0.25, 1 / len(signature.columns))
        special[chosen, place] = rng.choice(_near(column), chosen.sum())
    missing = [place for place, column in enumerate(signature.columns) if column.takes_missing]
    holes = usual[np.arange(min(len(missing), _MISSING_ROWS)) % len(usual)]
    for row, place in zip(holes, missing, strict=False):
        row[place] = np.nan
    empty = usual[:1].copy()
    empty[0, missing] = np.nan
    return [row[None] for row in (*special, *holes, *empty)]


def _fitted_on(column: Column) -> tuple[float, float]:
    low, high = (column.edges[0], column.edges[-1]) if column.edges else (-1.0, 1.0)
    least, most = column.limits or (low, high)
    return float(np.clip(low, least, most)), float(np.clip(high, least, most))


def _near(column: Column) -> Matrix:
    """Numbers at which something may be decided, no further off than as far again as the model was fitted on."""
    low, high = _fitted_on(column)
    span = (high - low) or 1.0
    least, most = column.limits or (low - span, high + span)
    numbers = np.asarray(special_numbers(column, np.asarray([low, high])), dtype=np.float64)
    near = (max(least, low - span) <= numbers) & (numbers <= min(most, high + span))
    return numbers[near] if near.any() else np.asarray([low])


def _answers_alike(steps: Step, own: Method, usual: Matrix, special: list[Matrix]) -> bool:
    """Whether the steps answer usual rows themselves, and all rows tried as the estimator's own method does."""
    asked = [usual, *(usual[place : place + 1] for place in range(_ALONE_ROWS))]
    until = time.monotonic() + _PATIENCE_SECONDS

    def is_same(quick: Method, rows: Matrix) -> bool:
        answer = _answer(quick, rows)
        return time.monotonic() < until and _same(answer, _answer(own, rows))

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if all(_seconds(own, usual[:1].copy()) > _SLOW_SECONDS for _ in range(3)):
            return False
        by_itself, quick = _dense_of(steps), Direct(steps, own)
        return all(is_same(by_itself, rows) for rows in asked) and all(is_same(quick, rows) for rows in special)


def _dense_of(steps: Step) -> Method:
    return lambda rows: dense(steps(rows))


def _seconds(method: Method, rows: Matrix) -> float:
    # of this thread's own time: at its start a pod may wait for the processor for long
    began = time.thread_time()
    method(rows)
    return time.thread_time() - began


def _answer(method: Method, rows: Matrix) -> Matrix | Exception:
    try:
        return method(rows.copy())
    except Exception as error:  # noqa: BLE001  (whatever it is: it is compared, and raised to nobody)
        return error


def _same(one: Matrix | Exception, other: Matrix | Exception) -> bool:
    if isinstance(one, Exception) or isinstance(other, Exception):
        return type(one) is type(other)
    return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)


def _bits(array: Matrix) -> object:
    return array.tolist() if array.dtype == object else array.tobytes()
