"""From a checked call to encoded outputs, on a thread: the only place that runs the model."""

import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.protocol import tensors
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import ModelFailureError, ModelRefusalError, RequestError
from penstock_serving.protocol.rules import Rule


@dataclass(frozen=True, slots=True)
class Answer:
    """Encoded outputs in the order asked for, and the raw predictions [rows] if they were computed."""

    outputs: list[Mapping[str, Any]]
    predictions: Matrix | None


def compute(model: Model, call: Call) -> Answer:
    """Compute a call's outputs.

    Raises `ModelFailureError` for outputs that are not finite or not as declared, `ModelRefusalError` for the
    `ValueError` by which scikit-learn refuses an input; other exceptions of the model pass through.
    """
    encoded: list[Mapping[str, Any]] = []
    predictions: Matrix | None = None
    for name in call.outputs:
        try:
            values = model.method(name)(call.matrix)
        except ValueError as error:
            log_exception(error)
            raise ModelRefusalError(Rule.MODEL_REFUSED, "the model does not take this input") from error
        encoded.append(tensors.encode(model.signature.output[name], values))
        if name == "predict":
            predictions = np.asarray(values)
    return Answer(encoded, predictions)


def as_request_error(error: BaseException) -> RequestError:
    """What the caller is told of an exception on the predict thread: ours as it is, the model's as a plain failure."""
    if isinstance(error, RequestError):
        return error
    log_exception(error)
    return ModelFailureError(f"the model failed ({type(error).__name__})")


def log_exception(error: BaseException) -> None:
    """Say on stderr where and as what the model failed; not its message, which may hold a caller's values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    os.write(2, f"prediction failed: {type(error).__name__}\n{frames}".encode(errors="replace"))
