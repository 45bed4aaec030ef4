"""Opening the front for a loaded model, or saying why there is none."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from penstock_serving.compile.opening import plan_of
from penstock_serving.compile.prune import pruned
from penstock_serving.compile.wire import MalformedError
from penstock_serving.model.load import Model
from penstock_serving.protocol import v2
from penstock_serving.protocol.plan import plan
from penstock_serving.server.batch import MAX_TASKS
from penstock_serving.server.engine import compute
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.front import Front
from penstock_serving.server.lane.terms import Terms, terms

MODULE = "penstock_lane"
_ROWS = 32
_MOST_COPIES = 8
_COPIES_BYTES = 64 << 20
_NUMBERS = {0.00001: b"0.00001", 1e-7: b"1e-7", 1e15: b"1000000000000000.0", 1e16: b"1e+16", 5e-324: b"5e-324"}
"""How native code writes numbers; golden rows may have none of the kind that versions of orjson write differently."""


class NoFrontError(Exception):
    """Why Python answers every request."""


def open_front(model: Model, identity: Identity, threads: int) -> Front:
    """What answers ordinary requests natively, shown on golden rows to answer as Python does; raises `NoFrontError`."""
    if model.compiled is None:
        raise NoFrontError("the model is not compiled")
    found = terms(plan_of(model.compiled), model.signature, identity)
    if found is None:
        raise NoFrontError("the model's default output is of a kind that native code does not write")
    at_once = MAX_TASKS if model.rows_independent else 1
    copies = copies_of(model.compiled, threads)
    lane = _lane(model.compiled, found, copies, at_once)
    front = Front(lane, len(model.signature.columns), in_place_of_python=copies == threads)
    _prove(front, model, identity)
    return front


def copies_of(model: bytes, threads: int) -> int:
    """How many threads the lane has: each holds the model, so a large one has fewer than Python has predict threads."""
    return max(1, min(threads, _MOST_COPIES, _COPIES_BYTES // len(model)))


def _prove(front: Front, model: Model, identity: Identity) -> None:
    if any(orjson.dumps(number) != written for number, written in _NUMBERS.items()):
        raise NoFrontError(f"orjson {orjson.__version__} writes numbers otherwise than it does")
    bodies = _golden(model)
    # One by one, as Python is asked here: some operators round a row among others otherwise than a row alone.
    answers = [front.ask([body]).bodies[0] for body in bodies]
    if all(answer is None for answer in answers):
        raise NoFrontError("it answers none of the golden rows")
    for body, answer in zip(bodies, answers, strict=True):
        if answer is not None and answer != _answer(model, identity, body):
            raise NoFrontError("it answers a golden row otherwise than Python does")


def _golden(model: Model) -> list[bytes]:
    """Golden rows one by one: by the columns' names, and where the model takes that, by position."""
    inputs = orjson.loads(model.golden.request)["inputs"]
    bodies = []
    for row in range(min(_ROWS, len(inputs[0]["data"]))):
        named = [item | {"shape": [1], "data": [item["data"][row]]} for item in inputs]
        bodies.append(orjson.dumps({"id": str(row), "inputs": named}))
        if plan(model.signature).all_double:
            values = [item["data"][row] for item in inputs]
            table = {"name": "x", "datatype": "FP64", "shape": [1, len(values)], "data": values}
            bodies.append(orjson.dumps({"inputs": [table]}))
    return bodies


def _answer(model: Model, identity: Identity, body: bytes) -> bytes:
    call = v2.decode_call(body, None, model.signature)
    outputs = compute(model, call).outputs
    return v2.response(identity.name, call, outputs, identity.parameters, identity.version).body


def _lane(model: bytes, terms: Terms, threads: int, at_once: int) -> Any:
    """The native side; raises `NoFrontError`: not installed, no ONNX Runtime that it can open, a graph that it cannot."""
    try:
        native = importlib.import_module(MODULE)
    except ImportError as error:
        raise NoFrontError(f"{MODULE} cannot be imported: {error}") from error
    try:
        graph = pruned(model, terms.output)
        answer = terms.answer
        return native.Lane(
            str(_library()),
            graph,
            [tuple(column) for column in terms.columns],
            (terms.all_double, terms.all_take_missing),
            terms.safe_square,
            (*answer.template, *answer[1:]),
            threads,
            at_once,
        )
    except (MalformedError, RuntimeError, OSError, AttributeError, TypeError, ValueError) as error:
        # the last three: a module of another version than this server
        raise NoFrontError(f"the compiled form cannot be opened: {error}") from error


def _library() -> Path:
    """ONNX Runtime's shared library, as Python's package brings it; raises `NoFrontError`."""
    package = find_spec("onnxruntime")
    for folder in (package and package.submodule_search_locations) or ():
        for found in Path(folder, "capi").glob("libonnxruntime.so*"):
            return found
    raise NoFrontError("ONNX Runtime is installed without its shared library")
