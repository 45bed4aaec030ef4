"""On which terms the lane answers for a model: how each column is read, and how the answer is written.

They say in numbers and bytes what `protocol.ordinary`, `compile.opening`, `server.observe` and `protocol.v2` do in
Python. Where they cannot, there are no terms and Python answers every request.
"""

import math
import sys
from typing import NamedTuple

import numpy as np
import orjson

from penstock_serving.compile.opening import label_array
from penstock_serving.compile.plan import Method, Plan, TextColumn
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature
from penstock_serving.protocol.errors import ModelFailureError
from penstock_serving.protocol.outputs import checked
from penstock_serving.protocol.plan import Field, plan
from penstock_serving.protocol.v2 import Template, template
from penstock_serving.server.identity import Identity
from penstock_serving.server.observe import UNSEEN

Code = tuple[float, float]
"""A number in the graph's input, and the one that the monitor is told."""

_NAN: Code = (math.nan, math.nan)
_MOST = sys.float_info.max
_KINDS = {Datatype.BOOL: "truth", Datatype.INT64: "integer", Datatype.BYTES: "text"}


class ColumnTerms(NamedTuple):
    """One column. `missing` and `unseen` are None where null, or a text that is not in `words`, is not for the lane."""

    name: str
    datatype: str
    kind: str
    single: bool
    low: float
    high: float
    missing: Code | None
    words: dict[str, Code]
    unseen: Code | None


class AnswerTerms(NamedTuple):
    """The answer: its constant parts, how values are told, labels in JSON and what the monitor is told for each, the
    numbers of a row (0: one, of which the shape says nothing), and whether the monitor is told the values."""

    template: Template
    told: str
    labels: list[bytes]
    codes: list[float]
    width: int
    observed: bool


class Terms(NamedTuple):
    """All that the lane needs to know. The output is the model's default one; rows whose squares add up to at most
    `safe_square` are surely taken by the model."""

    columns: list[ColumnTerms]
    all_double: bool
    all_take_missing: bool
    safe_square: float
    output: str
    answer: AnswerTerms


def terms(made: Plan, signature: Signature, identity: Identity) -> Terms | None:
    """The terms for a compiled model, or None where the lane cannot answer for it."""
    output = signature.outputs[0]
    method = next(method for method in made.methods if method.name == output.name)
    answer = _answer(method, output, signature, identity)
    if answer is None:
        return None
    checks = plan(signature)
    texts = {column.position: column for column in made.text}
    return Terms(
        [
            _column(column, checks.fields[column.name], texts.get(position))
            for position, column in enumerate(signature.columns)
        ],
        checks.all_double,
        checks.all_take_missing,
        math.inf if made.safe is None else min(made.safe, 1e150) ** 2,
        output.name,
        answer,
    )


def _column(column: Column, field: Field, text: TextColumn | None) -> ColumnTerms:
    low, high = field.range or (-_MOST, _MOST)
    missing = _NAN if column.takes_missing else None
    words: dict[str, Code] = {}
    unseen = None
    if text is not None:
        graph = {value: float(code) for code, value in enumerate(text.values)}
        observed = {category: float(code) for code, category in enumerate(column.categories)}
        known = field.words if field.words is not None else graph.keys() | observed.keys()
        words = {
            word: (graph.get(word, math.nan), observed.get(word, UNSEEN))
            for word in known
            if word is not None and _is_utf8(word)
        }
        missing = (graph.get(None, math.nan), math.nan) if column.takes_missing else None
        unseen = (math.nan, UNSEEN) if field.words is None else None
    kind, single = _KINDS.get(column.datatype, "number"), column.datatype is Datatype.FP32
    return ColumnTerms(column.name, field.datatype, kind, single, low, high, missing, words, unseen)


def _is_utf8(word: str) -> bool:
    """Whether a request can hold a text: not with half a surrogate pair, which a package may."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _answer(method: Method, output: Output, signature: Signature, identity: Identity) -> AnswerTerms | None:
    frame = template(identity.name, output, identity.parameters, identity.version)
    observed = output.name == "predict" and not output.width
    if not method.labels:
        told = _told(np.dtype(method.dtype), Datatype(output.datatype))
        if told is None or (observed and signature.classes):
            return None
        return AnswerTerms(frame, told, [], [], output.width, observed)
    labels = label_array(method)
    try:
        written = [orjson.dumps(label) for label in checked(output, labels).array.tolist()]
    except (ModelFailureError, orjson.JSONEncodeError):
        return None
    codes = [math.nan] * len(labels)
    if observed and signature.classes:
        positions = {label: float(position) for position, label in enumerate(signature.classes)}
        codes = [positions.get(label, math.nan) for label in labels.tolist()]
    elif observed and labels.dtype.kind in "biuf":
        codes = [float(label) for label in labels]
    return AnswerTerms(frame, "labels", written, codes, output.width, observed)


def _told(dtype: np.dtype[np.generic], datatype: Datatype) -> str | None:
    match dtype.kind, dtype.itemsize, datatype:
        case "f", 8, Datatype.FP64:
            return "double"
        case "f", 4, Datatype.FP32:
            return "single"
        case "i", 8, Datatype.INT64:
            return "integers"
    return None
