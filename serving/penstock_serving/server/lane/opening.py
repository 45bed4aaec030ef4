"""Opening the lane for a loaded model, or saying why there is none."""

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
from penstock_serving.server.lane.queue import Lane
from penstock_serving.server.lane.terms import Terms, terms
from penstock_serving.server.task import Task

MODULE = "penstock_lane"
_ROWS = 32
_SECONDS = 10.0


class NoLaneError(Exception):
    """Why Python answers every request."""


def open_lane(model: Model, identity: Identity, threads: int) -> Lane[Task]:
    """The lane for a model, shown on its golden rows to answer as Python does; raises `NoLaneError`."""
    if model.compiled is None:
        raise NoLaneError("the model is not compiled")
    found = terms(plan_of(model.compiled), model.signature, identity)
    if found is None:
        raise NoLaneError("the model's default output is of a kind that the lane does not write")
    at_once = MAX_TASKS if model.rows_independent else 1
    lane: Lane[Task] = Lane(_native(model.compiled, found, threads, at_once), len(model.signature.columns))
    try:
        _prove(lane, model, identity)
    except NoLaneError:
        lane.close()
        raise
    return lane


def _prove(lane: Lane[Task], model: Model, identity: Identity) -> None:
    bodies = _golden(model)
    answers = lane.ask(bodies, _SECONDS)
    if answers is None:
        raise NoLaneError(f"it does not answer within {_SECONDS:g} s")
    if all(answer is None for answer in answers):
        raise NoLaneError("it answers none of the golden rows")
    for body, answer in zip(bodies, answers, strict=True):
        if answer is not None and answer != _answer(model, identity, body):
            raise NoLaneError("it answers a golden row otherwise than Python does")


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


def _native(model: bytes, terms: Terms, threads: int, at_once: int) -> Any:
    """The native lane; raises `NoLaneError`: not installed, no ONNX Runtime that it can open, a graph that it cannot."""
    try:
        native = importlib.import_module(MODULE)
    except ImportError as error:
        raise NoLaneError(f"{MODULE} cannot be imported: {error}") from error
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
    except (MalformedError, RuntimeError, OSError) as error:
        raise NoLaneError(f"the compiled form cannot be opened: {error}") from error


def _library() -> Path:
    """ONNX Runtime's shared library, as Python's package brings it; raises `NoLaneError`."""
    package = find_spec("onnxruntime")
    for folder in (package and package.submodule_search_locations) or ():
        for found in Path(folder, "capi").glob("libonnxruntime.so*"):
            return found
    raise NoLaneError("ONNX Runtime is installed without its shared library")
