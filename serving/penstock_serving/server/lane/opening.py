"""Opening the front for a loaded model, or saying why there is none."""

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from penstock_serving.model.load import Model
from penstock_serving.protocol import v2
from penstock_serving.protocol.plan import plan
from penstock_serving.server.batch import MAX_BYTES, MAX_ROWS, MAX_TASKS
from penstock_serving.server.engine import compute, joined, part
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.called import open_calling
from penstock_serving.server.lane.errors import NoFrontError
from penstock_serving.server.lane.front import Front
from penstock_serving.server.lane.terms import Together
from penstock_serving.server.turns import Turns

MODULE = "penstock_lane"
_ROWS, _FEW_ROWS = 32, 4
_PROOF_SECONDS = 10.0
_NUMBERS = {0.00001: b"0.00001", 1e-7: b"1e-7", 1e15: b"1000000000000000.0", 1e16: b"1e+16", 5e-324: b"5e-324"}
"""How native code writes numbers; golden rows may have none of the kind that versions of orjson write differently."""


def open_front(model: Model, identity: Identity, threads: int, turns: Turns | None = None) -> Front:
    """What answers ordinary requests natively, shown on golden rows to answer as Python does; raises `NoFrontError`.

    Where it calls Python for each batch, those calls are `turns`.
    """
    native = _native()
    together = Together(MAX_TASKS if model.rows_independent else 1, MAX_ROWS, MAX_BYTES)
    if model.compiled is None:
        front = open_calling(native, model, identity, threads, together, turns or Turns(threads))
    else:
        # onnxruntime is paid for only where it serves
        from penstock_serving.server.lane.compiled import open_compiled

        front = open_compiled(native, model.compiled, model.signature, identity, threads, together)
    # A model is never called on the thread of an event loop: some may not be.
    proof = ThreadPoolExecutor(1, "proof")
    try:
        proof.submit(_prove, front, model, identity).result(_PROOF_SECONDS)
    except TimeoutError as error:
        raise NoFrontError(f"the golden rows were not answered in {_PROOF_SECONDS:g} s") from error
    finally:
        proof.shutdown(wait=False)
    return front


def _native() -> Any:
    try:
        return importlib.import_module(MODULE)
    except ImportError as error:
        raise NoFrontError(f"{MODULE} cannot be imported: {error}") from error


def _prove(front: Front, model: Model, identity: Identity) -> None:
    if any(orjson.dumps(number) != written for number, written in _NUMBERS.items()):
        raise NoFrontError(f"orjson {orjson.__version__} writes numbers otherwise than it does")
    bodies = _golden(model)
    answered = 0
    for asked in _together(model, bodies):
        found = [
            (body, answer) for body, answer in zip(asked, front.ask(asked).bodies, strict=True) if answer is not None
        ]
        answered += len(found)
        if found and [answer for _, answer in found] != _answers(model, identity, [body for body, _ in found]):
            raise NoFrontError("it answers a golden row otherwise than Python does")
    if not answered:
        raise NoFrontError("it answers none of the golden rows")


def _together(model: Model, bodies: list[bytes]) -> list[list[bytes]]:
    """What is asked together, of both ways alike: some models round a row among others otherwise than a row alone.

    One by one; but all at once where each call would be one of Python's, and may take long.
    """
    if model.compiled is None and model.rows_independent:
        return [bodies]
    return [[body] for body in bodies]


def _golden(model: Model) -> list[bytes]:
    """Golden rows one by one: by the columns' names, and where the model takes that, by position. Few of them where each
    is a call of the model."""
    inputs = orjson.loads(model.golden.request)["inputs"]
    bodies = []
    for row in range(min(_ROWS if model.rows_independent else _FEW_ROWS, len(inputs[0]["data"]))):
        named = [item | {"shape": [1], "data": [item["data"][row]]} for item in inputs]
        bodies.append(orjson.dumps({"id": str(row), "inputs": named}))
        if plan(model.signature).all_double:
            values = [item["data"][row] for item in inputs]
            table = {"name": "x", "datatype": "FP64", "shape": [1, len(values)], "data": values}
            bodies.append(orjson.dumps({"inputs": [table]}))
    return bodies


def _answers(model: Model, identity: Identity, bodies: list[bytes]) -> list[bytes]:
    """Python's answers, computed together."""
    calls = [v2.decode_call(body, None, model.signature) for body in bodies]
    try:
        computed = compute(model, joined(calls))
    except Exception as error:
        raise NoFrontError(f"the model does not answer its golden rows ({type(error).__name__})") from error
    return [
        v2.response(
            identity.name, call, part(computed, row, row + 1).outputs, identity.parameters, identity.version
        ).body
        for row, call in enumerate(calls)
    ]
