"""Comparing a compiled model's answers with scikit-learn's: shapes, dtypes, labels and scores."""

from dataclasses import dataclass

import numpy as np

from penstock_serving.model.frame import Matrix

MARGIN = 1e-6
ABSOLUTE, RELATIVE = 1e-6, 1e-5
_EXACT_RELATIVE = 1e-12


class DifferentError(Exception):
    """The answers differ; the message says how, without any value of the rows."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest difference, as a share of max(1, |score|), and the row that has it; how many rows had a tie."""

    largest: float
    row: int
    ties: int


def require_same_form(ours: Matrix, theirs: Matrix) -> None:
    """Raise `DifferentError` for another shape or dtype."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        raise DifferentError(
            f"it answers in shape {ours.shape} of {ours.dtype}, scikit-learn in {theirs.shape} of {theirs.dtype}", 0
        )


def scores(ours: Matrix, theirs: Matrix) -> Agreement:
    """Compare numbers [rows] or [rows, width]: |difference| <= 1e-6 + 1e-5 |score|, and the same infinities and NaN.

    Raises `DifferentError`.
    """
    require_same_form(ours, theirs)
    with np.errstate(invalid="ignore", over="ignore"):
        mine, wanted = ours.astype(np.float64), theirs.astype(np.float64)
        same = (mine == wanted) | (np.isnan(mine) & np.isnan(wanted))
        difference = np.where(same, 0.0, np.abs(mine - wanted))
        wrong = ~same & ~(difference <= ABSOLUTE + RELATIVE * np.abs(wanted))
    by_row = difference.reshape(len(difference), -1)
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))[0])
        raise DifferentError(f"its score differs by {by_row[row].max():.3g}", row)
    with np.errstate(invalid="ignore"):
        share = np.where(same, 0.0, difference / np.maximum(1.0, np.abs(wanted)))
    largest = share.reshape(len(share), -1).max(axis=1, initial=0.0)
    row = int(largest.argmax()) if len(largest) else 0
    return Agreement(float(largest.max(initial=0.0)), row, 0)


def labels(ours: Matrix, theirs: Matrix, margins: Matrix | None) -> Agreement:
    """Compare labels [rows]: equal wherever the margin [rows] between the two best scores exceeds 1e-6.

    Without margins they must be equal everywhere. Raises `DifferentError`.
    """
    require_same_form(ours, theirs)
    close = np.zeros(len(ours), dtype=bool) if margins is None else ~(margins > MARGIN)
    wrong = (ours != theirs) & ~close
    if wrong.any():
        raise DifferentError("its label is another", int(np.flatnonzero(wrong)[0]))
    return Agreement(0.0, 0, int(close.sum()))


def margins(values: Matrix) -> Matrix:
    """The margin [rows] by which the best class leads, from scores [rows, classes] or, for two classes, [rows]."""
    if values.ndim == 1:
        return np.abs(values)
    if values.shape[1] < 2:
        return np.full(len(values), np.inf)
    best = np.sort(values, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


def equal(one: Matrix, other: Matrix) -> bool:
    """Whether answers are equal but for the last bits of floating-point sums (1e-12 relative, 1e-6 for float32)."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    tolerance = _EXACT_RELATIVE if one.dtype.itemsize > 4 else ABSOLUTE
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True))
