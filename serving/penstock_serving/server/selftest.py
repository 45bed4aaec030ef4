"""Readiness is a real inference: the golden rows, through the code that serves, give the golden outputs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.load import Model
from penstock_serving.protocol import v2
from penstock_serving.protocol.outputs import document
from penstock_serving.server.dispatch import Dispatcher, Limits
from penstock_serving.server.failures import as_request_error

_ABSOLUTE = 1e-6
_RELATIVE = 1e-5


async def self_test(model: Model, limits: Limits) -> None:
    """Ask the golden request; raises `BadModelError` (SelfTestFailed) when the answer is another than at packaging.

    Labels must be identical, numbers within 1e-6 + 1e-5·|value|: another processor may round otherwise.
    """
    dispatcher = Dispatcher(model, limits, lambda _: None)
    try:
        answer = await dispatcher.submit(v2.decode_call(model.golden.request, None, model.signature), math.inf)
    except Exception as error:
        raise _failed(as_request_error(error).message) from error
    finally:
        dispatcher.close()
    if len(answer.outputs) != len(model.golden.outputs):
        raise _failed("it has another number of outputs")
    for actual, expected in zip(answer.outputs, model.golden.outputs, strict=True):
        _compare(document(actual), expected)


def _compare(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    name = actual["name"]
    if any(actual[key] != expected.get(key) for key in ("name", "datatype", "shape")):
        raise _failed(f"output {name!r} has another name, datatype or shape")
    if not _close(actual["data"], expected.get("data", [])):
        raise _failed(f"output {name!r} has other values than when the model was packaged")


def _close(actual: Sequence[Any], expected: Sequence[Any]) -> bool:
    if len(actual) != len(expected):
        return False
    return all(
        abs(a - e) <= _ABSOLUTE + _RELATIVE * abs(e) if isinstance(a, float) and isinstance(e, int | float) else a == e
        for a, e in zip(actual, expected, strict=True)
    )


def _failed(why: str) -> BadModelError:
    return BadModelError(
        contract.REASON_SELF_TEST_FAILED, f"the model does not answer its golden rows: {why}; package it again"
    )
