"""On which terms the lane answers for a model: how each column is read, and how the answer is written.

They say in numbers and bytes what `protocol.ordinary`, `server.observe` and `protocol.v2` do in Python. Where they cannot,
there are no terms and Python answers every request.
"""

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Column, Output, Signature
from penstock_serving.protocol.errors import ModelFailureError
from penstock_serving.protocol.outputs import checked
from penstock_serving.protocol.plan import plan
from penstock_serving.protocol.v2 import Template, template
from penstock_serving.server.identity import Identity

Code = tuple[float, float]
"""A number in the model's input, and the one that the monitor is told."""

_NAN: Code = (math.nan, math.nan)
_MOST = sys.float_info.max
_KINDS = {Datatype.BOOL: "truth", Datatype.INT64: "integer", Datatype.BYTES: "text"}


class Together(NamedTuple):
    """How much one thread takes together: requests, their rows, the bytes of their bodies."""

    requests: int
    rows: int
    bytes: int


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


def column_terms(signature: Signature) -> list[ColumnTerms]:
    """How each column is read, but for what words mean."""
    fields = plan(signature).fields
    return [_column(column, fields[column.name].range) for column in signature.columns]


def _column(column: Column, span: tuple[float, float] | None) -> ColumnTerms:
    low, high = span or (-_MOST, _MOST)
    missing = _NAN if column.takes_missing else None
    kind, single = _KINDS.get(column.datatype, "number"), column.datatype is Datatype.FP32
    return ColumnTerms(column.name, column.datatype.value, kind, single, low, high, missing, {}, None)


def is_observed(output: Output) -> bool:
    """Whether the monitor is told an output's values."""
    return output.name == "predict" and not output.width


def numbers(told: str, output: Output, identity: Identity) -> AnswerTerms:
    """An answer of numbers."""
    return AnswerTerms(_template(output, identity), told, [], [], output.width, is_observed(output))


def labels(values: Matrix, classes: Sequence[object], output: Output, identity: Identity) -> AnswerTerms | None:
    """An answer of labels [labels], of which the monitor is told the positions in `classes`; None for what no answer can
    hold."""
    try:
        written = [orjson.dumps(label) for label in checked(output, values).array.tolist()]
    except (ModelFailureError, orjson.JSONEncodeError):
        return None
    codes = [math.nan] * len(values)
    if is_observed(output) and classes:
        positions = {label: float(position) for position, label in enumerate(classes)}
        codes = [positions.get(label, math.nan) for label in values.tolist()]
    elif is_observed(output) and values.dtype.kind in "biuf":
        codes = [float(label) for label in values]
    frame = _template(output, identity)
    return AnswerTerms(frame, "labels", written, codes, output.width, is_observed(output))


def _template(output: Output, identity: Identity) -> Template:
    return template(identity.name, output, identity.parameters, identity.version)
