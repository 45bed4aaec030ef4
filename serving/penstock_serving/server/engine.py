"""From a call to its outputs, alone or together with others: the only place that runs the model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import ModelFailureError, ModelRefusalError
from penstock_serving.protocol.outputs import OutputTensor, checked
from penstock_serving.protocol.rules import Rule


class Computed(NamedTuple):
    """Checked outputs in the order asked for, and the raw predictions [rows] if they were computed."""

    outputs: list[OutputTensor]
    predictions: Matrix | None


def compute(model: Model, call: Call) -> Computed:
    """Compute a call's outputs.

    Raises `ModelFailureError` for outputs that are not finite or not as declared, `ModelRefusalError` for the
    `ValueError` by which scikit-learn refuses an input; other exceptions of the model pass through.
    """
    outputs: list[OutputTensor] = []
    predictions: Matrix | None = None
    for name in call.outputs:
        try:
            values = model.method(name)(call.matrix)
        except ValueError as error:
            raise ModelRefusalError(Rule.MODEL_REFUSED, "the model does not take this input") from error
        tensor = checked(model.signature.output[name], values)
        if len(tensor.array) != len(call.matrix):
            raise ModelFailureError(f"the model returned another number of rows in output {name!r} than it was given")
        outputs.append(tensor)
        if name == "predict":
            predictions = np.asarray(values)
    return Computed(outputs, predictions)


def joined(calls: Sequence[Call]) -> Call:
    """One call for the rows of several that ask for the same outputs of matrices of one kind."""
    return Call(np.concatenate([call.matrix for call in calls]), calls[0].outputs, "")


def part(computed: Computed, start: int, stop: int) -> Computed:
    """The outputs of rows `start` to `stop`."""
    outputs = [OutputTensor(name, datatype, array[start:stop]) for name, datatype, array in computed.outputs]
    predictions = computed.predictions
    return Computed(outputs, None if predictions is None else predictions[start:stop])
