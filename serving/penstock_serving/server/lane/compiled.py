"""The lane of a compiled model: native code computes, and no request needs Python.

Its terms say what `compile.opening` does in Python.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from penstock_serving.compile.opening import label_array, plan_of
from penstock_serving.compile.plan import Method, Plan, TextColumn
from penstock_serving.compile.prune import pruned
from penstock_serving.compile.wire import MalformedError
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature
from penstock_serving.protocol.plan import Field, plan
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.errors import NoFrontError
from penstock_serving.server.lane.front import Front
from penstock_serving.server.lane.terms import (
    AnswerTerms,
    ColumnTerms,
    Terms,
    Together,
    column_terms,
    is_observed,
    labels,
    numbers,
)
from penstock_serving.server.observe import UNSEEN

_MOST_COPIES = 8
_COPIES_BYTES = 64 << 20


def open_compiled(
    native: Any, model: bytes, signature: Signature, identity: Identity, threads: int, together: Together
) -> Front:
    """The front whose lane holds the model; raises `NoFrontError`: an answer that it does not write, no ONNX
    Runtime that it can open, a graph that it cannot."""
    found = terms(plan_of(model), signature, identity)
    if found is None:
        raise NoFrontError("the model's default output is of a kind that native code does not write")
    try:
        lane = native.Lane(
            str(_library()),
            pruned(model, found.output),
            [tuple(column) for column in found.columns],
            (found.all_double, found.all_take_missing),
            found.safe_square,
            (*found.answer.template, *found.answer[1:]),
            threads,
            copies_of(model, threads),
            together,
        )
        in_place = lane.threads == threads
    except (MalformedError, RuntimeError, OSError, AttributeError, TypeError, ValueError) as error:
        # the last three: a module of another version than this server
        raise NoFrontError(f"the compiled form cannot be opened: {error}") from error
    return Front(lane, len(signature.columns), in_place_of_python=in_place)


def copies_of(model: bytes, threads: int) -> int:
    """How many threads the lane has at most where each holds the model: fewer than Python has predict threads for a large
    one."""
    return max(1, min(threads, _MOST_COPIES, _COPIES_BYTES // len(model)))


def terms(made: Plan, signature: Signature, identity: Identity) -> Terms | None:
    """The terms for a compiled model, or None where the lane cannot answer for it."""
    output = signature.outputs[0]
    method = next(method for method in made.methods if method.name == output.name)
    answer = _answer(method, output, signature, identity)
    if answer is None:
        return None
    checks = plan(signature)
    columns = column_terms(signature)
    for text in made.text:
        column = signature.columns[text.position]
        columns[text.position] = _words(columns[text.position], column, checks.fields[column.name], text)
    return Terms(
        columns,
        checks.all_double,
        checks.all_take_missing,
        math.inf if made.safe is None else min(made.safe, 1e150) ** 2,
        output.name,
        answer,
    )


def _words(taken: ColumnTerms, column: Column, field: Field, text: TextColumn) -> ColumnTerms:
    """A text column with what its words are in the graph's input."""
    graph = {value: float(code) for code, value in enumerate(text.values)}
    observed = {category: float(code) for code, category in enumerate(column.categories)}
    known = field.words if field.words is not None else graph.keys() | observed.keys()
    return taken._replace(
        words={
            word: (graph.get(word, math.nan), observed.get(word, UNSEEN))
            for word in known
            if word is not None and _is_utf8(word)
        },
        missing=(graph.get(None, math.nan), math.nan) if column.takes_missing else None,
        unseen=(math.nan, UNSEEN) if field.words is None else None,
    )


def _is_utf8(word: str) -> bool:
    """Whether a request can hold a text: not with half a surrogate pair, which a package may."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _answer(method: Method, output: Output, signature: Signature, identity: Identity) -> AnswerTerms | None:
    if method.labels:
        return labels(label_array(method), signature.classes, output, identity)
    told = _told(np.dtype(method.dtype), Datatype(output.datatype))
    if told is None or (is_observed(output) and signature.classes):
        return None
    return numbers(told, output, identity)


def _told(dtype: np.dtype[np.generic], datatype: Datatype) -> str | None:
    match dtype.kind, dtype.itemsize, datatype:
        case "f", 8, Datatype.FP64:
            return "double"
        case "f", 4, Datatype.FP32:
            return "single"
        case "i", 8, Datatype.INT64:
            return "integers"
    return None


def _library() -> Path:
    """ONNX Runtime's shared library, as Python's package brings it; raises `NoFrontError`."""
    package = find_spec("onnxruntime")
    for folder in (package and package.submodule_search_locations) or ():
        for found in Path(folder, "capi").glob("libonnxruntime.so*"):
            return found
    raise NoFrontError("ONNX Runtime is installed without its shared library")
