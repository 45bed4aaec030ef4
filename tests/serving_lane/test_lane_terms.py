"""Which models the lane has terms for, and that they say what Python does."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from penstock_serving.compile.plan import Method, Plan, TextColumn
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import v2
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.outputs import checked
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.compiled import terms

IDENTITY = Identity("fraud", "fraud-1", "sha256:x")
NUMBER = Column("n", Datatype.FP64, False, False, (), ())
NAN = (math.nan, math.nan)


def signature(output: Output, *columns: Column, classes: tuple[Any, ...] = ()) -> Signature:
    return Signature(columns or (NUMBER,), (output,), classes, (), Versions("3", "1", "2", "1"))


def plan(method: Method, *text: TextColumn, safe: float | None = None, columns: int = 1) -> Plan:
    return Plan(columns, text, safe, (method,))


def same(found: Any, wanted: Any) -> bool:
    """Whether codes are the same, NaN and all."""
    return repr(found) == repr(wanted)


@pytest.mark.parametrize(
    ("dtype", "labels", "datatype", "width", "classes"),
    [
        ("<f8", (), Datatype.FP32, 0, ()),  # rounded on the way
        ("<f4", (), Datatype.FP64, 0, ()),
        ("<i4", (), Datatype.INT64, 0, ()),
        ("<i8", (), Datatype.FP64, 0, ()),  # Python says that it failed
        ("<f8", (), Datatype.INT64, 0, ()),
        ("|b1", (), Datatype.BOOL, 0, ()),
        ("<i8", (), Datatype.BOOL, 0, ()),
        ("<i8", (), Datatype.INT64, 0, (1, 2)),  # classes that are not told as labels
        ("<f8", (), Datatype.FP64, 0, (0.5,)),
        ("<U1", ("a",), Datatype.INT64, 0, ()),  # labels of another kind than the output
        ("<i8", (1,), Datatype.BYTES, 0, ()),
        ("|b1", (True,), Datatype.INT64, 0, ()),
        ("<i8", (1,), Datatype.BOOL, 0, ()),
        ("<U1", ("a",), Datatype.BYTES, 2, ()),  # labels are one to a row
        ("<U2", ("a", "\ud800"), Datatype.BYTES, 0, ()),  # half a surrogate pair is no JSON
    ],
)
def test_no_terms_for(
    dtype: str, labels: tuple[Any, ...], datatype: Datatype, width: int, classes: tuple[Any, ...]
) -> None:
    made = signature(Output("predict", datatype, width), classes=classes)
    assert terms(plan(Method("predict", dtype, labels)), made, IDENTITY) is None


@pytest.mark.parametrize(
    ("name", "dtype", "labels", "datatype", "width", "classes", "told", "codes", "observed"),
    [
        ("predict", "<f8", (), Datatype.FP64, 0, (), "double", [], True),
        ("predict", "<f8", (), Datatype.FP64, 3, (), "double", [], False),
        ("predict", "<f4", (), Datatype.FP32, 0, (), "single", [], True),
        ("predict", "<i8", (), Datatype.INT64, 0, (), "integers", [], True),
        ("transform", "<f8", (), Datatype.FP64, 2, (), "double", [], False),
        ("predict", "<U3", ("no", "yes"), Datatype.BYTES, 0, ("yes", "no"), "labels", [1.0, 0.0], True),
        ("predict", "<U3", ("no", "yes"), Datatype.BYTES, 0, ("yes",), "labels", [math.nan, 0.0], True),
        ("predict", "<U3", ("no", "yes"), Datatype.BYTES, 0, (), "labels", [math.nan, math.nan], True),
        ("predict", "<i8", (-1, 7), Datatype.INT64, 0, (-1, 7), "labels", [0.0, 1.0], True),
        ("predict", "<i8", (-1, 7), Datatype.INT64, 0, (), "labels", [-1.0, 7.0], True),
        ("predict", "|b1", (False, True), Datatype.BOOL, 0, (False, True), "labels", [0.0, 1.0], True),
    ],
)
def test_how_answers_are_told(
    name: str,
    dtype: str,
    labels: tuple[Any, ...],
    datatype: Datatype,
    width: int,
    classes: tuple[Any, ...],
    told: str,
    codes: list[float],
    observed: bool,
) -> None:
    output = Output(name, datatype, width)
    found = terms(plan(Method(name, dtype, labels)), signature(output, classes=classes), IDENTITY)
    assert found is not None
    assert found.output == name
    assert found.answer.labels == [orjson.dumps(label) for label in labels]
    assert same((found.answer.told, found.answer.codes), (told, codes))
    assert (found.answer.width, found.answer.observed) == (width, observed)


@pytest.mark.parametrize(
    ("column", "kind", "single", "low", "high", "missing"),
    [
        (NUMBER, "number", False, -1.7976931348623157e308, 1.7976931348623157e308, None),
        (replace(NUMBER, takes_missing=True), "number", False, -1.7976931348623157e308, 1.7976931348623157e308, NAN),
        (replace(NUMBER, bounds=(-1.0, 2.5)), "number", False, -1.0, 2.5, None),
        (replace(NUMBER, datatype=Datatype.FP32), "number", True, -3.4028234663852886e38, 3.4028234663852886e38, None),
        (replace(NUMBER, datatype=Datatype.INT64), "integer", False, 1.0 - 2**53, 2.0**53 - 1, None),
        (replace(NUMBER, datatype=Datatype.INT64, bounds=(0.5, 1e300)), "integer", False, 0.5, 2.0**53 - 1, None),
    ],
)
def test_how_numbers_are_read(column: Column, kind: str, single: bool, low: float, high: float, missing: Any) -> None:
    found = terms(plan(Method("predict", "<f8", ())), signature(Output("predict", Datatype.FP64, 0), column), IDENTITY)
    assert found is not None
    (made,) = found.columns
    assert same((made.kind, made.single, made.low, made.high, made.missing), (kind, single, low, high, missing))
    assert (made.words, made.unseen) == ({}, None)


def text_column(values: tuple[str | None, ...], **changes: Any) -> Any:
    column = replace(Column("t", Datatype.BYTES, False, True, (), ("b", "a")), **changes)
    made = signature(Output("predict", Datatype.FP64, 0), column)
    found = terms(plan(Method("predict", "<f8", ()), TextColumn(0, values)), made, IDENTITY)
    assert found is not None
    return found.columns[0]


def test_how_words_are_read() -> None:
    taken = text_column(("a", None, "c"))
    assert taken.words["a"] == (0.0, 1.0)
    assert taken.words["c"] == (2.0, -1.0)
    assert same(taken.words["b"], (math.nan, 0.0))
    assert taken.words.keys() == {"a", "b", "c"}
    assert same((taken.unseen, taken.missing), ((math.nan, -1.0), None))


def test_words_of_a_closed_column_are_its_categories() -> None:
    taken = text_column(("a", "c"), takes_unseen=False)
    assert taken.words.keys() == {"a", "b"}
    assert taken.unseen is None


@pytest.mark.parametrize(("values", "code"), [(("a", None), 1.0), (("a",), math.nan)])
def test_missing_words(values: tuple[str | None, ...], code: float) -> None:
    assert same(text_column(values, takes_missing=True).missing, (code, math.nan))


def test_words_that_no_request_can_hold_are_left_out() -> None:
    assert text_column(("\ud800", "a"), categories=("\udfff",)).words.keys() == {"a"}


@pytest.mark.parametrize(("safe", "square"), [(None, math.inf), (0.0, 0.0), (3.0, 9.0), (1e150, 1e300), (1e308, 1e300)])
def test_what_is_safe(safe: float | None, square: float) -> None:
    made = signature(Output("predict", Datatype.FP64, 0))
    found = terms(plan(Method("predict", "<f8", ()), safe=safe), made, IDENTITY)
    assert found is not None
    assert found.safe_square == pytest.approx(square, rel=1e-15)


@pytest.mark.parametrize("revision", ["fraud-1", "none", 'a "revision" ü'])
@pytest.mark.parametrize("request_id", ["", "7"])
@pytest.mark.parametrize(
    ("output", "values"),
    [
        (Output("predict", Datatype.FP64, 0), np.array([1.5, -0.0])),
        (Output("transform", Datatype.FP64, 3), np.arange(6.0).reshape(2, 3)),
        (Output("predict", Datatype.BYTES, 0), np.array(["a", 'b"'], dtype=object)),
    ],
)
def test_the_template_is_what_a_response_is_made_of(
    revision: str, request_id: str, output: Output, values: Any
) -> None:
    who = Identity('fr"aud', revision, "sha256:x")
    parts = v2.template(who.name, output, who.parameters, who.version)
    call = Call(np.zeros((2, 1)), (output.name,), request_id)
    wanted = v2.response(who.name, call, [checked(output, values)], who.parameters, who.version).body
    told = b"".join(
        [
            parts.before_id,
            b',"id":%b' % orjson.dumps(request_id) if request_id else b"",
            parts.after_id,
            b"2",
            parts.before_values,
            b",".join(orjson.dumps(value) for value in values.ravel().tolist()),
            parts.end,
        ]
    )
    assert told == wanted
