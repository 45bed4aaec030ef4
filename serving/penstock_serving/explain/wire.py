"""How explanations are asked for and answered: pure functions from and to bodies.

v2: `POST /v2/models/{model}/explain`, a sibling of `/infer` that the protocol does not have: the request is an inference
request; the answer an inference response (inference_rest.md) of the tensors

- `contributions` FP64 [rows, columns], or [rows, columns, outputs] where the model has several outputs,
- `base_values` FP64 [outputs],
- `columns` BYTES [columns] and `outputs` BYTES [outputs]: what the contributions' axes stand for,

of which a request may name the ones it wants; what they add up to is the parameter `unit`, and the parameter `method` is
"exact" or "sampled". v1: `POST /v1/models/{model}:explain`, a `:predict` request answered by `{"explanations": {…}}`
with the same names.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import orjson

from penstock_serving.explain.explanation import Explanation
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Output, Signature
from penstock_serving.protocol import v1, v2
from penstock_serving.protocol.call import Call, Encoded
from penstock_serving.protocol.outputs import OutputTensor

CONTRIBUTIONS = "contributions"
BASE_VALUES = "base_values"
COLUMNS = "columns"
OUTPUTS = "outputs"
NAMES = (CONTRIBUTIONS, BASE_VALUES, COLUMNS, OUTPUTS)

_ALL = "explanation"


def explain_signature(signature: Signature) -> Signature:
    """A model's signature with an explanation's outputs in place of the model's own, to check requests against."""
    datatypes = {COLUMNS: Datatype.BYTES, OUTPUTS: Datatype.BYTES}
    outputs = [Output(name, datatypes.get(name, Datatype.FP64), 0) for name in (_ALL, *NAMES)]
    return dataclasses.replace(signature, outputs=tuple(outputs))


def decode_v2(body: bytes, json_length: int | None, asked: Signature) -> Call:
    """Read and check a v2 request by a model's `explain_signature`; raises as `v2.decode_call` does."""
    call = v2.decode_call(body, json_length, asked)
    if _ALL not in call.outputs:
        return call
    binary = frozenset((CONTRIBUTIONS, BASE_VALUES)) if _ALL in call.binary else frozenset()
    return call._replace(outputs=NAMES, binary=binary)


def decode_v1(body: bytes, asked: Signature) -> Call:
    """Read and check a v1 request by a model's `explain_signature`; raises as `v1.decode_call` does."""
    return v1.decode_call(body, asked)._replace(outputs=NAMES)


def v2_response(model: str, call: Call, explanation: Explanation, identity: Mapping[str, str]) -> Encoded:
    """The answer to a v2 request, with the outputs that it asked for."""
    tensors = {
        CONTRIBUTIONS: OutputTensor(CONTRIBUTIONS, Datatype.FP64, _contributions(explanation)),
        BASE_VALUES: OutputTensor(BASE_VALUES, Datatype.FP64, explanation.base_values),
        COLUMNS: _names(COLUMNS, explanation.columns),
        OUTPUTS: _names(OUTPUTS, explanation.outputs),
    }
    parameters = {**identity, "unit": explanation.unit.value, "method": _method(explanation)}
    return v2.response(model, call, [tensors[name] for name in call.outputs], parameters)


def v1_response(explanation: Explanation) -> Encoded:
    """The answer to a v1 request."""
    document = {
        COLUMNS: explanation.columns,
        OUTPUTS: explanation.outputs,
        "unit": explanation.unit.value,
        "method": _method(explanation),
        BASE_VALUES: explanation.base_values.tolist(),
        CONTRIBUTIONS: _contributions(explanation).tolist(),
    }
    return Encoded(orjson.dumps({"explanations": document}))


def _method(explanation: Explanation) -> str:
    return "exact" if explanation.exact else "sampled"


def _contributions(explanation: Explanation) -> Matrix:
    several = len(explanation.outputs) > 1
    return np.ascontiguousarray(explanation.contributions if several else explanation.contributions[:, :, 0])


def _names(name: str, texts: tuple[str, ...]) -> OutputTensor:
    cells = np.empty(len(texts), dtype=object)
    cells[:] = texts
    return OutputTensor(name, Datatype.BYTES, cells)
