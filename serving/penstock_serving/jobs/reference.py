"""Reading a signature off a fitted model and a reference frame."""

import dataclasses
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import joblib
import numpy as np
import sklearn

from penstock_serving import contract
from penstock_serving.jobs.probe import missing_value, takes, unseen_category
from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, assemble, column_datatype, names
from penstock_serving.model.outputs import methods
from penstock_serving.model.series import Asked, Series
from penstock_serving.model.signature import (
    MAX_CATEGORIES,
    MAX_COLUMNS,
    OUTPUTS,
    Column,
    Label,
    Output,
    Signature,
    Versions,
)
from penstock_serving.model.signature_json import check_name

_QUANTILES = np.linspace(0, 1, 21)[1:-1]
_ROWS = 10_000
Bounds = Mapping[str, tuple[float, float]]


def read_signature(model: Any, frame: Frame, bounds: Bounds | None = None) -> tuple[Signature, Matrix]:
    """The signature of a fitted model and the reference matrix [rows, columns] it was read from.

    At most 10,000 rows are looked at. `bounds` declares the least and the greatest number that a column takes; what
    lies beyond is refused in serving. Outputs are those of `predict`, `predict_proba`, `decision_function` and
    `transform` that the model has and whose results can be served.

    Raises `BadModelError` when the frame or the bounds cannot be served, the reference rows break the bounds, or the
    model does not answer the rows with finite values of shapes that can be served.
    """
    with warnings.catch_warnings():
        # a model that was fitted on a DataFrame says of every array that it has no names
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return _read(model, frame, bounds or {})


def _read(model: Any, frame: Frame, bounds: Bounds) -> tuple[Signature, Matrix]:
    labels = [check_name(name, "a column's name") for name in names(frame)]
    columns = [np.asarray(frame[name])[:_ROWS] for name in frame.keys()]  # noqa: SIM118
    if not 0 < len(columns) <= MAX_COLUMNS or len(set(labels)) != len(labels):
        raise _unservable(f"a frame has 1 to {MAX_COLUMNS} columns with different names")
    if len({len(values) for values in columns}) != 1 or not len(columns[0]):
        raise _unservable("the frame's columns are of different length, or empty")
    series = model.series if isinstance(model, FramedModel) else {}
    datatypes = [
        series[name].datatype if name in series else column_datatype(name, values)
        for name, values in zip(labels, columns, strict=True)
    ]
    matrix = assemble(columns, datatypes)
    served = methods(model, OUTPUTS)
    if not served:
        raise _unservable(
            f"a {type(model).__name__} has no method predict() and no transform(); pass a fitted scikit-learn estimator"
        )
    default, ask = next(iter(served.items()))
    predictions = _answers(default, ask, matrix)
    described = [
        _column(ask, matrix, index, name, datatype, series.get(name))
        for index, (name, datatype) in enumerate(zip(labels, datatypes, strict=True))
    ]
    classes = _classes(model, default, predictions)
    return (
        Signature(
            columns=_bounded(described, matrix, bounds),
            outputs=(_output(default, predictions), *_further_outputs(served, default, matrix)),
            classes=classes,
            prediction_edges=_edges(predictions) if _is_regression(default, predictions, classes) else (),
            asked=Asked.FRAME if isinstance(model, FramedModel) else Asked.MATRIX,
            versions=Versions(platform.python_version(), sklearn.__version__, np.__version__, joblib.__version__),
        ),
        matrix,
    )


def _unservable(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, why)


def _answers(name: str, ask: Callable[[Matrix], Matrix], matrix: Matrix) -> Matrix:
    try:
        answers = ask(matrix)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _unservable(
            f"{name}() does not take the frame's rows ({type(error).__name__}: {str(error)[:300]}); "
            "fit the model on a DataFrame of these columns, and where it was, let the frame have the same dtypes "
            "(penstock package --dtype); or fit it on matrix(frame)"
        ) from error
    if answers.ndim not in {1, 2} or len(answers) != len(matrix) or not answers.size:
        raise _unservable(f"{name}() must give one value, or one row of them, for each row")
    if answers.dtype.kind == "f" and not np.isfinite(answers).all():
        raise _unservable(f"{name}() gives values that are not finite for rows of the frame")
    return answers


def _bounded(columns: Sequence[Column], matrix: Matrix, bounds: Bounds) -> tuple[Column, ...]:
    unknown = set(bounds) - {column.name for column in columns}
    if unknown:
        raise _unservable(f"a range is declared for {min(unknown)!r}, which is no column")
    bounded = []
    for index, column in enumerate(columns):
        declared = bounds.get(column.name)
        if declared is None:
            bounded.append(column)
            continue
        low, high = float(declared[0]), float(declared[1])
        if column.datatype in {Datatype.BYTES, Datatype.BOOL} or not low < high or not np.isfinite((low, high)).all():
            raise _unservable(
                f"the range of column {column.name!r} is not of two ascending numbers of a numeric column"
            )
        values = matrix[:, index].astype(np.float64)
        if ((values < low) | (values > high)).any():
            raise _unservable(f"rows of the frame are out of the range declared for column {column.name!r}")
        bounded.append(dataclasses.replace(column, bounds=(low, high)))
    return tuple(bounded)


def _column(
    ask: Callable[[Matrix], Matrix], matrix: Matrix, index: int, name: str, datatype: Datatype, series: Series | None
) -> Column:
    takes_missing = _may_miss(matrix[:, index], series) and takes(ask, matrix, index, missing_value(datatype))
    if datatype is not Datatype.BYTES:
        values = matrix[:, index].astype(np.float64)
        return Column(
            name, datatype, takes_missing, takes_unseen=True, edges=_edges(values), categories=(), series=series
        )
    categories = () if series is not None and series.is_time else _vocabulary(matrix[:, index], series)
    takes_unseen = not categories or takes(ask, matrix, index, unseen_category(categories))
    return Column(name, datatype, takes_missing, takes_unseen, edges=(), categories=categories, series=series)


def _may_miss(values: Matrix, series: Series | None) -> bool:
    """Whether a missing value can stand in the column as it would have in training.

    Where objects were never missing, nobody knows whether None or NaN would have stood there, which models tell apart.
    """
    if series is None or series.dtype != "object":
        return series is None or series.holds_missing
    return any(value is None for value in values.tolist())


def _vocabulary(values: Matrix, series: Series | None) -> tuple[str, ...]:
    """The texts of a column, sorted; none where they are too many to be a vocabulary."""
    levels = () if series is None else series.levels
    found = {value for value in values.tolist() if value is not None} | set(levels)
    return tuple(sorted(found)) if len(found) <= MAX_CATEGORIES else ()


def _edges(values: Matrix) -> tuple[float, ...]:
    """Inner histogram boundaries: the 5 % to 95 % quantiles, so that no extreme of the data is told."""
    present = values[np.isfinite(values)]
    if not len(present):
        return ()
    return tuple(sorted({float(edge) for edge in np.quantile(present, _QUANTILES)}))


def _is_regression(default: str, predictions: Matrix, classes: tuple[Label, ...]) -> bool:
    return default == "predict" and predictions.ndim == 1 and not classes and predictions.dtype.kind in "fiub"


def _classes(model: Any, default: str, predictions: Matrix) -> tuple[Label, ...]:
    found = getattr(model, "classes_", None)
    if default != "predict" or predictions.ndim > 1 or not isinstance(found, np.ndarray) or found.ndim != 1:
        return ()
    labels: Sequence[Any] = found.tolist()
    return tuple(labels)


def _output(name: str, answers: Matrix) -> Output:
    return Output(name, _output_datatype(answers), answers.shape[1] if answers.ndim > 1 else 0)


def _further_outputs(
    served: Mapping[str, Callable[[Matrix], Matrix]], default: str, matrix: Matrix
) -> tuple[Output, ...]:
    """Outputs beside the default, where they are arrays of numbers (the scores of several targets are lists of them)."""
    outputs = []
    for name, ask in served.items():
        if name == default:
            continue
        try:
            answers = ask(matrix[:2])
        except (ValueError, TypeError, AttributeError, NotImplementedError):
            continue
        whole = answers.ndim in {1, 2} and len(answers) == len(matrix[:2]) and answers.dtype.kind in "fiub"
        if whole and answers.size and np.isfinite(answers).all():
            outputs.append(_output(name, answers))
    return tuple(outputs)


def _output_datatype(values: Matrix) -> Datatype:
    match values.dtype.kind:
        case "b":
            return Datatype.BOOL
        case "i" | "u":
            return Datatype.INT64
        case "f":
            return Datatype.FP32 if values.dtype.itemsize <= 4 else Datatype.FP64
        case "U":
            return Datatype.BYTES
        case "O" if all(isinstance(value, str) for value in values.ravel()):
            return Datatype.BYTES
    raise _unservable(f"predictions of type {values.dtype} cannot be served")
