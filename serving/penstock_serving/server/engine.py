"""From a request's body to its answer's, on a thread: the only place that reads requests and runs the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.model.signature import Signature
from penstock_serving.protocol import v1, v2
from penstock_serving.protocol.call import Call, Encoded
from penstock_serving.protocol.errors import ModelFailureError, ModelRefusalError
from penstock_serving.protocol.outputs import OutputTensor, checked
from penstock_serving.protocol.rules import Rule
from penstock_serving.server.identity import Identity
from penstock_serving.server.observe import Observer


@dataclass(frozen=True, slots=True)
class Computed:
    """Checked outputs in the order asked for, and the raw predictions [rows] if they were computed."""

    outputs: list[OutputTensor]
    predictions: Matrix | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer, and what the monitor is told: rows [rows, columns + 1]."""

    answer: Encoded
    observed: Matrix


@dataclass(frozen=True, slots=True)
class Wire:
    """One of the ways to ask for a prediction: how its bodies are read and written."""

    route: str
    decode: Callable[[bytes, int | None, Signature], Call]
    encode: Callable[[Identity, Call, Sequence[OutputTensor]], Encoded]


V2 = Wire(
    "infer",
    v2.decode_call,
    lambda identity, call, outputs: v2.response(identity.name, call, outputs, identity.parameters),
)
V1 = Wire(
    "predict",
    lambda body, _json_length, signature: v1.decode_call(body, signature),
    lambda _identity, _call, outputs: v1.response(outputs),
)


class Engine:
    """Answers bodies. Stateless but for the model: any number of threads may use it."""

    def __init__(self, model: Model, identity: Identity) -> None:
        self._model, self._identity = model, identity
        self._observer = Observer(model.signature)

    def predict(self, wire: Wire, body: bytes, json_length: int | None) -> Prediction:
        """Read, check, compute, write; `json_length` as in `v2.decode_call`.

        Raises `RequestError` for a request that gets no prediction; exceptions of the model pass through.
        """
        call = wire.decode(body, json_length, self._model.signature)
        computed = compute(self._model, call)
        answer = wire.encode(self._identity, call, computed.outputs)
        return Prediction(answer, self._observer.rows(call.matrix, computed.predictions))


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
