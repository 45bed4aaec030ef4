"""A lane that calls Python: what is not plain is left, whatever it is, and the model finds what it finds everywhere."""

import math
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

pytest.importorskip("penstock_lane", reason="build and install serving/native (`make native`)")

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Golden, Model
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import v2
from penstock_serving.protocol.errors import ModelFailureError, ModelRefusalError, RequestError
from penstock_serving.server.lane import called
from penstock_serving.server.lane.errors import NoFrontError
from penstock_serving.server.lane.opening import open_front

from tests.serving_lane.lane_models import IDENTITY, Ways

NUMBER = Column("a", Datatype.FP64, False, False, (), ())
DOUBLES = Output("predict", Datatype.FP64, 0)


def signature(output: Output = DOUBLES, classes: tuple[Any, ...] = (), column: Column = NUMBER) -> Signature:
    return Signature((column,), (output,), classes, (), Versions("3", "1", "2", "1"))


def model(predict: Callable[[Matrix], Any], made: Signature | None = None, *, rows_independent: bool = True) -> Model:
    """Of one column; its golden rows are 1 and 2."""
    made = made or signature()
    request = v2.encode_request(np.array([[1.0], [2.0]]), made, [])
    return Model(
        {made.default_output: predict},
        made,
        Golden(orjson.dumps(request), ()),
        IDENTITY.digest,
        "scikit-learn",
        rows_independent=rows_independent,
    )


def body(*values: float) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(values), 1], "data": list(values)}
    return orjson.dumps({"inputs": [tensor | {"name": "a", "shape": [1]} if len(values) == 1 else tensor]})


def data(answers: Sequence[bytes | None]) -> list[Any]:
    """The values of answers; None for what is left to Python."""
    return [None if answer is None else orjson.loads(answer)["outputs"][0]["data"] for answer in answers]


def doubled(rows: Matrix) -> Matrix:
    return rows[:, 0] * 2


class KeptOut(BaseException):
    """Nothing that anybody reckons with."""


def raising(error: BaseException) -> Callable[[Matrix], Matrix]:
    def predict(rows: Matrix) -> Matrix:
        if (rows == -1).any():
            raise error
        return doubled(rows)

    return predict


def spoiling(spoil: Callable[[Matrix], Any]) -> Callable[[Matrix], Any]:
    return lambda rows: spoil(doubled(rows)) if (rows == -1).any() else doubled(rows)


ODD = {
    "ValueError": (raising(ValueError("secret")), ModelRefusalError),
    "KeyError": (raising(KeyError("secret")), KeyError),
    "SystemExit": (raising(SystemExit(3)), SystemExit),
    "KeyboardInterrupt": (raising(KeyboardInterrupt()), KeyboardInterrupt),
    "BaseException": (raising(KeptOut()), KeptOut),
    "StopIteration": (raising(StopIteration()), StopIteration),
    "NaN": (spoiling(lambda found: found * math.nan), ModelFailureError),
    "infinity": (spoiling(lambda found: found * math.inf), ModelFailureError),
    "fewer rows": (spoiling(lambda found: found[:-1]), ModelFailureError),
    "more rows": (spoiling(lambda found: np.append(found, found)), ModelFailureError),
    "another shape": (spoiling(lambda found: found[:, None]), ModelFailureError),
    "no array": (spoiling(lambda found: 7.0), ModelFailureError),
    "nothing": (spoiling(lambda found: None), ModelFailureError),
    "text": (spoiling(lambda found: found.astype(str)), ModelFailureError),
    "whole numbers": (spoiling(lambda found: found.astype(int)), ModelFailureError),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_not_plain_is_left_to_python_and_the_others_are_answered(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    predict, refusal = ODD[kind]
    made = model(predict)
    front = open_front(made, IDENTITY, 1)
    bodies = [body(1.0), body(2.0, 3.0), body(-1.0), body(4.0), body(5.0, -1.0), *(body(float(at)) for at in range(40))]
    answers, rows, observed = front.ask(bodies)
    wanted = [[2.0], [4.0, 6.0], None, [8.0], None, *([at * 2.0] for at in range(40))]
    assert data(answers) == wanted
    assert list(rows) == [len(one or ()) for one in wanted]
    assert observed[:, 1].tolist() == [value for one in wanted for value in one or ()]
    ways = Ways(made, front, np.empty((0, 1)))
    for left in (bodies[2], bodies[4]):
        if issubclass(refusal, RequestError):
            assert isinstance(ways.in_python(left), refusal)
        else:
            with pytest.raises(refusal):
                ways.in_python(left)
    assert data(front.ask([body(9.0)]).bodies) == [[18.0]]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("rows_independent", [True, False])
def test_requests_are_computed_together_only_where_rows_are_independent(rows_independent: bool) -> None:
    calls: list[list[float]] = []

    def predict(rows: Matrix) -> Matrix:
        calls.append(rows[:, 0].tolist())
        return doubled(rows)

    front = open_front(model(predict, rows_independent=rows_independent), IDENTITY, 1)
    calls.clear()
    bodies = [body(float(at)) for at in range(70)]
    assert data(front.ask(bodies).bodies) == [[at * 2.0] for at in range(70)]
    together = [list(map(float, range(64))), list(map(float, range(64, 70)))]
    assert calls == (together if rows_independent else [[float(at)] for at in range(70)])


def test_the_model_gets_an_array_of_its_own_to_write_to() -> None:
    def predict(rows: Matrix) -> Matrix:
        assert rows.flags.owndata
        assert rows.flags.c_contiguous
        assert rows.dtype == np.float64
        rows *= 2
        return rows[:, 0]

    front = open_front(model(predict), IDENTITY, 1)
    answers, _, observed = front.ask([body(3.0), body(4.0, 5.0)])
    assert data(answers) == [[6.0], [8.0, 10.0]]
    assert observed.tolist() == [[3.0, 6.0], [4.0, 8.0], [5.0, 10.0]]


@pytest.mark.parametrize(
    ("datatype", "classes", "label", "wanted"),
    [
        (Datatype.BYTES, ("no", "yes"), "yes", "yes"),
        (Datatype.BYTES, ("no", "yes"), "maybe", None),
        (Datatype.BYTES, ("no", "yes"), "ye", None),
        (Datatype.INT64, (-1, 7), 7, 7),
        (Datatype.INT64, (-1, 7), 1, None),
        (Datatype.BOOL, (False, True), True, True),
        (Datatype.BOOL, (True,), False, None),
        (Datatype.FP64, (0.0, 0.1), 0.1, 0.1),
        (Datatype.FP64, (0.0, 0.1), -0.0, None),
        (Datatype.FP64, (0.0, 0.1), 0.1 + 1e-18, 0.1),
        (Datatype.FP64, (0.0, 0.1), 0.10000000000000002, None),
    ],
)
def test_a_label_that_the_signature_does_not_know_is_left_to_python(
    datatype: Datatype, classes: tuple[Any, ...], label: Any, wanted: Any
) -> None:
    dtype = object if datatype is Datatype.BYTES else None

    def predict(rows: Matrix) -> Matrix:
        found = [label if value == 5.0 else classes[0] for value in rows[:, 0]]
        return np.array(found, dtype=dtype)

    made = model(predict, signature(Output("predict", datatype, 0), classes))
    front = open_front(made, IDENTITY, 1)
    answers, _, observed = front.ask([body(5.0), body(6.0)])
    assert data(answers) == [None if wanted is None else [wanted], [classes[0]]]
    assert observed[-1].tolist() == [6.0, 0.0]
    if wanted is not None:
        assert observed[0].tolist() == [5.0, float(classes.index(wanted))]


@pytest.mark.parametrize(
    ("output", "classes", "column", "why"),
    [
        (Output("predict", Datatype.BYTES, 0), (), NUMBER, "kind that native code does not write"),
        (Output("predict", Datatype.BOOL, 2), (), NUMBER, "kind that native code does not write"),
        (Output("predict", Datatype.BYTES, 0), ("a", "\ud800"), NUMBER, "kind that native code does not write"),
        (Output("predict", Datatype.BYTES, 0), ("a", 7), NUMBER, "kind that native code does not write"),
        (Output("predict", Datatype.INT64, 0), (0.5, 1.5), NUMBER, "kind that native code does not write"),
        (Output("predict", Datatype.FP64, 0), (0, 1), NUMBER, "kind that native code does not write"),
        (DOUBLES, (), replace(NUMBER, datatype=Datatype.BYTES), "columns of text"),
    ],
)
def test_what_the_lane_does_not_read_or_write_has_no_front(
    output: Output, classes: tuple[Any, ...], column: Column, why: str
) -> None:
    with pytest.raises(NoFrontError, match=why):
        open_front(model(doubled, signature(output, classes, column)), IDENTITY, 1)


def test_a_number_that_the_monitor_would_be_told_otherwise_is_left_to_python() -> None:
    """The answer is in single precision, the monitor is told what the model said in double."""
    made = model(lambda rows: doubled(rows) / 3, signature(Output("predict", Datatype.FP32, 0)))
    with pytest.raises(NoFrontError, match="none of the golden rows"):
        open_front(made, IDENTITY, 1)


def test_golden_rows_that_are_answered_otherwise_are_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    told = called.Calling._told
    monkeypatch.setattr(called.Calling, "_told", lambda self, computed: told(self, computed)[::-1])
    with pytest.raises(NoFrontError, match="otherwise than Python"):
        open_front(model(doubled), IDENTITY, 1)


def test_a_model_that_does_not_answer_golden_rows_again_has_no_lane() -> None:
    answered = iter([doubled])

    def predict(rows: Matrix) -> Matrix:
        return next(answered)(rows)

    with pytest.raises(NoFrontError, match="does not answer its golden rows"):
        open_front(model(predict), IDENTITY, 1)


def test_a_native_module_that_cannot_call_is_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["penstock_lane"], "Lane", object)
    with pytest.raises(NoFrontError, match="another version than this server"):
        open_front(model(doubled), IDENTITY, 1)


def test_the_model_is_never_called_on_the_thread_of_the_event_loop() -> None:
    threads: set[int] = set()

    def predict(rows: Matrix) -> Matrix:
        threads.add(threading.get_ident())
        return doubled(rows)

    open_front(model(predict), IDENTITY, 1)
    assert threads
    assert threading.get_ident() not in threads
