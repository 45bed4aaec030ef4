"""Small data for compiled models: numbers, missing values, categories, text, money; and labels of every kind."""

from typing import Any

import numpy as np
from penstock_serving.compile.proof import compile_and_prove
from penstock_serving.compile.result import Proven, Unproven
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model.frame import matrix
from penstock_serving.model.signature import Signature
from sklearn.datasets import make_classification

Frame = dict[str, Any]

ROWS = 240
_RNG = np.random.default_rng(11)
NUMBERS, CLASSES = make_classification(ROWS, 6, n_informative=4, n_classes=3, random_state=3)
_CODES = _RNG.integers(0, 12, ROWS)
TARGET = NUMBERS @ _RNG.normal(size=6) + 0.1 * _RNG.normal(size=ROWS)


def columns(values: Any) -> Frame:
    """A frame of numeric columns."""
    return {f"x{index}": values[:, index] for index in range(values.shape[1])}


def numeric() -> Frame:
    return columns(NUMBERS)


def with_missing() -> Frame:
    holes = NUMBERS.copy()
    holes[np.random.default_rng(1).random(NUMBERS.shape) < 0.15] = np.nan
    return columns(holes)


def whole_numbers() -> Frame:
    return columns(np.round(NUMBERS * 3).astype(np.int64))


def money() -> Frame:
    return columns((np.round(np.exp(NUMBERS + 6) * 100) / 100).clip(0, 1e7))


def epochs() -> Frame:
    """Seconds since 1970 with milliseconds: numbers that single precision cannot tell apart."""
    return columns(np.round(1.7e9 + NUMBERS * 1e5, 3))


def single_precision() -> Frame:
    return columns(NUMBERS.astype(np.float32))


def counts() -> Frame:
    return columns(np.abs(np.round(NUMBERS * 4)))


def coded() -> Frame:
    """A categorical column as numbers, with a missing value, beside numeric ones."""
    frame = with_missing()
    codes = _CODES.astype(np.float64)
    codes[3] = np.nan
    return {"code": codes, **frame}


def mixed() -> Frame:
    """Numbers, text with a missing value, text without, truth values and whole numbers."""
    rng = np.random.default_rng(4)
    return {
        "age": NUMBERS[:, 0] * 10 + 40,
        "pay": (np.round(np.exp(NUMBERS[:, 1] + 6) * 100) / 100),
        "town": rng.choice(np.array(["Genève", "Zürich", "Bern", "", None], dtype=object), ROWS),
        "kind": np.where(CLASSES == 0, "a", rng.choice(["b", "c"], ROWS)).astype(object),
        "known": NUMBERS[:, 2] > 0,
        "count": np.round(np.abs(NUMBERS[:, 3]) * 3).astype(np.int64),
    }


def mixed_with_missing() -> Frame:
    frame = mixed()
    for name in ("age", "pay"):
        frame[name] = np.where(np.random.default_rng(5).random(ROWS) < 0.2, np.nan, frame[name])
    return frame


EFFECT = np.array([3, -2, 0, 5, -4, 1, 4, -5, 2, -1, 6, -3])[_CODES]
"""What the categories of `coded` do, in an order that no threshold on the code can follow."""
TWO = np.array(["no", "yes"])[(CLASSES > 0).astype(int)]
THREE = np.array(["red", "green", "blue"])[CLASSES]
NUMBERED = CLASSES * 10 - 10
TRUTH = CLASSES > 0
POSITIVE = np.exp(TARGET / 4)
SEVERAL = np.stack([TARGET, TARGET**2], axis=1)


def fitted(estimator: Any, frame: Frame, target: Any) -> tuple[Any, Signature, Any]:
    """The estimator fitted on the frame's matrix, its signature and that matrix."""
    rows = matrix(frame)
    estimator.fit(rows, target)
    signature, reference = read_signature(estimator, frame)
    return estimator, signature, reference


def proven(estimator: Any, frame: Frame, target: Any) -> Proven:
    """The estimator fitted, compiled and proven; fails with the reason where it is not."""
    result = compile_and_prove(*fitted(estimator, frame, target))
    assert isinstance(result, Proven), result.reason
    return result


def unproven(estimator: Any, frame: Frame, target: Any) -> Unproven:
    """Why a fitted estimator is not compiled; fails where it is."""
    result = compile_and_prove(*fitted(estimator, frame, target))
    assert isinstance(result, Unproven)
    return result
