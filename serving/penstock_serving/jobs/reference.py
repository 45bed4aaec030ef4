"""Reading a signature off a fitted model and a reference frame."""

import platform
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import sklearn

from penstock_serving import contract
from penstock_serving.jobs.probe import missing_value, takes, unseen_category
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Frame, Matrix, assemble, column_datatype, names
from penstock_serving.model.signature import MAX_CATEGORIES, MAX_COLUMNS, Column, Label, Output, Signature, Versions
from penstock_serving.model.signature_json import check_name

_QUANTILES = np.linspace(0, 1, 21)[1:-1]
_ROWS = 10_000
OUTPUTS = ("predict", "predict_proba")


def read_signature(model: Any, frame: Frame) -> tuple[Signature, Matrix]:
    """The signature of a fitted model and the reference matrix [rows, columns] it was read from.

    At most 10,000 rows are looked at. Raises `BadModelError` when the frame cannot be served or the model does not
    answer its rows with finite predictions of the shapes that can be served.
    """
    labels = [check_name(name, "a column's name") for name in names(frame)]
    columns = [np.asarray(frame[name])[:_ROWS] for name in frame.keys()]  # noqa: SIM118
    if not 0 < len(columns) <= MAX_COLUMNS or len(set(labels)) != len(labels):
        raise _unservable(f"a frame has 1 to {MAX_COLUMNS} columns with different names")
    if len({len(values) for values in columns}) != 1 or not len(columns[0]):
        raise _unservable("the frame's columns are of different length, or empty")
    datatypes = [column_datatype(name, values) for name, values in zip(labels, columns, strict=True)]
    matrix = assemble(columns, datatypes)
    predictions = _predictions(model, matrix)
    described = [
        _column(model, matrix, index, name, datatype)
        for index, (name, datatype) in enumerate(zip(labels, datatypes, strict=True))
    ]
    classes = _classes(model, predictions)
    return (
        Signature(
            columns=tuple(described),
            outputs=_outputs(model, matrix, predictions),
            classes=classes,
            prediction_edges=() if classes or predictions.ndim > 1 else _edges(predictions),
            versions=Versions(platform.python_version(), sklearn.__version__, np.__version__, joblib.__version__),
        ),
        matrix,
    )


def _unservable(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, why)


def _predictions(model: Any, matrix: Matrix) -> Matrix:
    if not callable(getattr(model, "predict", None)):
        raise _unservable(f"a {type(model).__name__} has no method predict(); pass a fitted scikit-learn estimator")
    predictions = np.asarray(model.predict(matrix))
    if predictions.ndim not in {1, 2} or len(predictions) != len(matrix):
        raise _unservable("predict() must give one prediction, or one row of them, for each row")
    if predictions.dtype.kind == "f" and not np.isfinite(predictions).all():
        raise _unservable("predict() gives values that are not finite for rows of the frame")
    return predictions


def _column(model: Any, matrix: Matrix, index: int, name: str, datatype: Datatype) -> Column:
    takes_missing = takes(model.predict, matrix, index, missing_value(datatype))
    if datatype is not Datatype.BYTES:
        values = matrix[:, index].astype(np.float64)
        return Column(name, datatype, takes_missing, takes_unseen=True, edges=_edges(values), categories=())
    categories = tuple(sorted({value for value in matrix[:, index] if value is not None}))
    if len(categories) > MAX_CATEGORIES:
        return Column(name, datatype, takes_missing, takes_unseen=True, edges=(), categories=())
    takes_unseen = takes(model.predict, matrix, index, unseen_category(categories))
    return Column(name, datatype, takes_missing, takes_unseen, edges=(), categories=categories)


def _edges(values: Matrix) -> tuple[float, ...]:
    """Inner histogram boundaries: the 5 % to 95 % quantiles, so that no extreme of the data is told."""
    present = values[np.isfinite(values)]
    if not len(present):
        return ()
    return tuple(sorted({float(edge) for edge in np.quantile(present, _QUANTILES)}))


def _classes(model: Any, predictions: Matrix) -> tuple[Label, ...]:
    found = getattr(model, "classes_", None)
    if predictions.ndim > 1 or not isinstance(found, np.ndarray) or found.ndim != 1:
        return ()
    labels: Sequence[Any] = found.tolist()
    return tuple(labels)


def _outputs(model: Any, matrix: Matrix, predictions: Matrix) -> tuple[Output, ...]:
    width = predictions.shape[1] if predictions.ndim > 1 else 0
    outputs = [Output("predict", _output_datatype(predictions), width)]
    if callable(getattr(model, "predict_proba", None)):
        scores = model.predict_proba(matrix[:1])
        if isinstance(scores, np.ndarray) and scores.ndim == 2:
            outputs.append(Output("predict_proba", _output_datatype(scores), scores.shape[1]))
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
