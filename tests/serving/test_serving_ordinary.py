"""The short way for one row takes what the long way takes, and reads it to the same numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import matrix, ordinary, tensors
from penstock_serving.protocol.errors import RequestError
from penstock_serving.protocol.plan import plan

SINGLE = float(np.finfo(np.float32).max)


def signature(datatype: Datatype, bounds: tuple[float, float] | None) -> Signature:
    columns = (
        Column("x", datatype, True, False, (), (), bounds),
        Column("y", Datatype.FP64, True, False, (), ()),
    )
    return Signature(columns, (Output("predict", Datatype.FP64, 0),), (), (), Versions("3", "1", "2", "1"))


def check(made: Signature, value: object) -> bool:
    """Whether the short way takes a value; fails where the long way does otherwise."""
    inputs = [
        {"name": "x", "datatype": made.columns[0].datatype.value, "shape": [1], "data": [value]},
        {"name": "y", "datatype": "FP64", "shape": [1], "data": [0.5]},
    ]
    short = ordinary.read(inputs, plan(made))
    if short is None:
        return False
    try:
        long = matrix.assemble([tensors.decode(item, at, None) for at, item in enumerate(inputs)], made)
    except RequestError as error:
        raise AssertionError(f"the long way refuses {value!r}") from error
    np.testing.assert_array_equal(short, long)
    return True


@pytest.mark.parametrize(
    "bounds", [(-0.1, 0.1), (0.3, 16777217.0), (0.1, 0.1), (-1e-50, 1e-50), (-1e300, SINGLE), None]
)
@pytest.mark.parametrize("datatype", [Datatype.FP32, Datatype.FP64, Datatype.INT64])
def test_at_the_borders(datatype: Datatype, bounds: tuple[float, float] | None) -> None:
    """A number of single precision is within the bounds when what it is rounded to is."""
    made = signature(datatype, bounds)
    for border in (*(bounds or (-SINGLE, SINGLE)), 0.0, 2.0**53, SINGLE):
        single = float(np.float32(np.clip(border, -SINGLE, SINGLE)))
        for near in (border, single):
            for value in (near, np.nextafter(near, -np.inf).item(), np.nextafter(near, np.inf).item()):
                check(made, value)
                check(made, int(value))


numbers = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None)
@given(
    datatype=st.sampled_from([Datatype.FP32, Datatype.FP64, Datatype.INT64]),
    ends=st.none() | st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))),
    value=st.none()
    | numbers
    | st.integers(-(10**25), 10**25)
    | st.floats(width=32, allow_nan=False, allow_infinity=False),
)
def test_anywhere(datatype: Datatype, ends: tuple[float, float] | None, value: object) -> None:
    check(signature(datatype, ends), value)


def test_what_is_well_within_goes_the_short_way() -> None:
    for datatype in (Datatype.FP32, Datatype.FP64):
        assert check(signature(datatype, (-0.1, 0.1)), 0.05)
    assert check(signature(Datatype.INT64, (-3.0, 3.0)), 2)
