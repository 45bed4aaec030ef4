"""The lane of a model that is not compiled: all but the model's own call is native, and that call is Python's.

The lane hands the rows of some requests to `Calling`, which computes them as `server.engine` computes everybody's. What
is not plain, whatever it is, `Calling` leaves; Python is asked the same again then, and says what there is to say.
Where neighbours vote (`server.lane.voting`), `Calling` is asked about what is in doubt there.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.model.signature import Signature
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.outputs import checked
from penstock_serving.protocol.plan import plan
from penstock_serving.server.engine import Computed, compute
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.errors import NoFrontError
from penstock_serving.server.lane.front import Front
from penstock_serving.server.lane.terms import AnswerTerms, Together, column_terms, labels, numbers
from penstock_serving.server.lane.voting import open_voting
from penstock_serving.server.turns import Turns

_TOLD = {Datatype.FP64: "double", Datatype.FP32: "single", Datatype.INT64: "integers"}
_BITS = {4: "i4", 8: "i8"}


class CallingFront(Front):
    """A front whose lane calls Python. Its calls are turns, and for how long those last is known there; what neighbours
    vote takes no turn, and always ends."""

    @property
    def held_up_seconds(self) -> float:
        """Nothing that is not known without it."""
        return 0.0


def open_calling(
    native: Any, model: Model, identity: Identity, threads: int, together: Together, turns: Turns
) -> Front:
    """The front whose lane calls the model; raises `NoFrontError`: columns that it does not read, an answer that it does
    not write, a module of another version."""
    signature = model.signature
    if not signature.is_numeric:
        raise NoFrontError("the model has columns of text, which native code reads for compiled models alone")
    values = _labels(signature)
    answer = _answer(values, signature, identity)
    if answer is None:
        raise NoFrontError("the model's default output is of a kind that native code does not write")
    checks = plan(signature)
    calling = Calling(model, turns, values)
    try:
        lane = native.Lane.calling(
            calling,
            _start,
            [tuple(column) for column in column_terms(signature)],
            (checks.all_double, checks.all_take_missing),
            (*answer.template, *answer[1:]),
            threads,
            together,
            open_voting(native, model, calling),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise NoFrontError(f"it is of another version than this server: {error}") from error
    return CallingFront(lane, len(signature.columns), in_place_of_python=True)


def _start(name: str, work: Callable[[], None]) -> None:
    """A thread like those that predict: no signal, and nothing at the end, waits for what a model does there."""
    threading.Thread(target=work, name=name, daemon=True).start()


def _labels(signature: Signature) -> Matrix | None:
    """A classifier's labels, which the lane is told by position; None where it is told numbers."""
    if not signature.classes:
        return None
    text = Datatype(signature.outputs[0].datatype) is Datatype.BYTES
    return np.array(signature.classes, dtype=object if text else None)


def _answer(values: Matrix | None, signature: Signature, identity: Identity) -> AnswerTerms | None:
    output = signature.outputs[0]
    if values is not None:
        return labels(values, signature.classes, output, identity)
    told = _TOLD.get(Datatype(output.datatype))
    return None if told is None else numbers(told, output, identity)


class Calling:
    """What the lane's threads call: from the bytes of float64 rows to those of int64 positions or numbers, or of float64
    numbers, as the terms say. Rows for which it gives None, or raises anything at all, are answered by Python."""

    def __init__(self, model: Model, turns: Turns, values: Matrix | None) -> None:
        signature = model.signature
        output = signature.outputs[0]
        self._model, self._turns, self._outputs = model, turns, (output.name,)
        self._width = len(signature.columns)
        self._dtype = np.float32 if signature.has_single_precision else np.float64
        self._positions: dict[Any, int] | None = None
        if values is not None:
            self._positions = {key: place for place, key in enumerate(_keys(checked(output, values).array))}

    def __call__(self, content: bytes) -> bytes | None:
        """The bytes of what the model answers for rows."""
        # A copy: a model may write where it reads, as it may in Python.
        rows = np.frombuffer(content).reshape(-1, self._width).astype(self._dtype)
        with self._turns:
            computed = compute(self._model, Call(rows, self._outputs, ""))
        return self._told(computed)

    def positions(self, labels: Matrix) -> list[int]:
        """By which positions the lane is told labels of an answer; raises `LookupError` for one that it does not know."""
        if self._positions is None:
            raise LookupError("the lane is told numbers")
        return [self._positions[key] for key in _keys(labels)]

    def _told(self, computed: Computed) -> bytes | None:
        array, predictions = computed.outputs[0].array, computed.predictions
        if predictions is not None and not np.can_cast(predictions.dtype, array.dtype):
            # The monitor is told what the model said, and the answer is rounded.
            return None
        if self._positions is not None:
            return np.array(self.positions(array), dtype=np.int64).tobytes()
        return array.astype(np.int64 if array.dtype.kind == "i" else np.float64, copy=False).tobytes()


def _keys(labels: Matrix) -> list[Any]:
    """What tells labels of one datatype apart in an answer: bits of numbers, as 0.0 and -0.0 are equal and written
    differently."""
    flat = labels.ravel()
    found: list[Any] = (flat.view(_BITS[flat.dtype.itemsize]) if flat.dtype.kind == "f" else flat).tolist()
    return found
