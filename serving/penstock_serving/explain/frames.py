"""The messages between the server and the explaining process.

A message is its length (4 bytes, little-endian), then a header, then content. A question's header is its kind (1 byte),
the seconds it may take (float64) and the length of its JSON part (int64, -1 for all of it); an answer's is its kind and
the length of its JSON part.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import orjson

from penstock_serving.explain.explanation import Explanation
from penstock_serving.explain.plan import Unit
from penstock_serving.model.frame import Matrix
from penstock_serving.protocol.call import Encoded
from penstock_serving.protocol.errors import (
    NO_COLUMN,
    BadRequestError,
    DeadlineError,
    ModelFailureError,
    ModelRefusalError,
    NotServingError,
    RequestError,
)
from penstock_serving.protocol.rules import Rule

LENGTH = struct.Struct("<I")
_QUESTION = struct.Struct("<Bdq")
_ANSWER = struct.Struct("<Bq")
_SIZES = struct.Struct("<IIII")
_SIMPLE: dict[int, type[BadRequestError | DeadlineError | ModelFailureError | NotServingError]] = {
    400: BadRequestError,
    500: ModelFailureError,
    503: NotServingError,
    504: DeadlineError,
}


class Asks(IntEnum):
    """Kinds of questions: to be set up, to explain a matrix, to answer a body of either protocol."""

    SETUP = 0
    MATRIX = 1
    V2 = 2
    V1 = 3


class Says(IntEnum):
    """Kinds of answers: ready, an explanation, a body, an error."""

    READY = 0
    EXPLANATION = 1
    BODY = 2
    ERROR = 3


class Question(NamedTuple):
    """What is asked; `json_length` None when all of the content is JSON, or none of it."""

    kind: Asks
    seconds: float
    json_length: int | None
    content: bytes


class Answer(NamedTuple):
    """What is answered."""

    kind: Says
    json_length: int | None
    content: bytes


class BrokenFrameError(ValueError):
    """A message that the other side cannot have written."""


def pack_question(question: Question) -> bytes:
    """A question with its length before it."""
    length = -1 if question.json_length is None else question.json_length
    header = _QUESTION.pack(question.kind, question.seconds, length)
    return LENGTH.pack(len(header) + len(question.content)) + header + question.content


def unpack_question(frame: bytes) -> Question:
    """A question from a message without its length; raises `BrokenFrameError`."""
    try:
        kind, seconds, length = _QUESTION.unpack_from(frame)
        return Question(Asks(kind), seconds, None if length < 0 else length, frame[_QUESTION.size :])
    except (struct.error, ValueError) as error:
        raise BrokenFrameError("a message is no question") from error


def pack_answer(answer: Answer) -> bytes:
    """An answer with its length before it."""
    header = _ANSWER.pack(answer.kind, -1 if answer.json_length is None else answer.json_length)
    return LENGTH.pack(len(header) + len(answer.content)) + header + answer.content


def unpack_answer(frame: bytes) -> Answer:
    """An answer from a message without its length; raises `BrokenFrameError`."""
    try:
        kind, length = _ANSWER.unpack_from(frame)
        return Answer(Says(kind), None if length < 0 else length, frame[_ANSWER.size :])
    except (struct.error, ValueError) as error:
        raise BrokenFrameError("a message is no answer") from error


def write_matrix(matrix: Matrix) -> bytes:
    """A matrix [rows, columns] of floats as its precision, width and bytes; of objects as JSON, NaN and None as null."""
    if matrix.dtype.kind == "f":
        return bytes([matrix.dtype.itemsize]) + LENGTH.pack(matrix.shape[1]) + np.ascontiguousarray(matrix).tobytes()
    return b"\0" + orjson.dumps(matrix.tolist())


def read_matrix(content: bytes, text: tuple[bool, ...]) -> Matrix:
    """The matrix that was written; `text` tells which columns hold text: there null is None, elsewhere NaN."""
    try:
        size = content[0]
        if size:
            (width,) = LENGTH.unpack_from(content, 1)
            return np.frombuffer(content, f"<f{size}", offset=1 + LENGTH.size).reshape(-1, width)
        rows = orjson.loads(content[1:])
        cells = np.empty((len(rows), len(text)), dtype=object)
        for number, row in enumerate(rows):
            cells[number] = row
    except (IndexError, struct.error, TypeError, ValueError) as error:
        raise BrokenFrameError("a message holds no matrix") from error
    for position in range(len(text)):
        if not text[position]:
            cells[[value is None for value in cells[:, position]], position] = np.nan
    return cells


def write_explanation(explanation: Explanation) -> bytes:
    """An explanation as bytes."""
    names = orjson.dumps(
        [explanation.columns, explanation.outputs, explanation.unit.value, explanation.exact],
    )
    values = np.ascontiguousarray(explanation.contributions, dtype="<f8")
    base = np.ascontiguousarray(explanation.base_values, dtype="<f8")
    return _SIZES.pack(len(names), *values.shape) + names + base.tobytes() + values.tobytes()


def read_explanation(content: bytes) -> Explanation:
    """The explanation that was written; raises `BrokenFrameError`."""
    try:
        length, rows, columns, outputs = _SIZES.unpack_from(content)
        start = _SIZES.size + length
        column_names, output_names, unit, exact = orjson.loads(content[_SIZES.size : start])
        values = np.frombuffer(content, "<f8", offset=start)
        contributions = values[outputs:].reshape(rows, columns, outputs)
        return Explanation(
            base_values=values[:outputs],
            contributions=contributions,
            columns=tuple(column_names),
            outputs=tuple(output_names),
            unit=Unit(unit),
            exact=exact,
        )
    except (struct.error, TypeError, ValueError) as error:
        raise BrokenFrameError("a message holds no explanation") from error


def write_error(error: RequestError) -> bytes:
    """A request's error as bytes."""
    refusal = error if isinstance(error, ModelRefusalError) else None
    rule = refusal.rule.value if refusal else ""
    return orjson.dumps([error.status, error.message, rule, refusal.column if refusal else NO_COLUMN])


def read_error(content: bytes) -> RequestError:
    """The error that was written, of the same class; raises `BrokenFrameError`."""
    try:
        status, message, rule, column = orjson.loads(content)
        if rule:
            return ModelRefusalError(Rule(rule), message.removesuffix(f" ({rule})"), column)
    except (TypeError, ValueError) as error:
        raise BrokenFrameError("a message holds no error") from error
    simple = _SIMPLE.get(status)
    return simple(message) if simple else RequestError(status, message)


def body_of(answer: Answer) -> Encoded:
    """The body that an answer carries."""
    return Encoded(answer.content, answer.json_length)
