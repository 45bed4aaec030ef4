"""What the lane answers is what Python answers, byte for byte; what it does not answer is left to Python."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("penstock_lane", reason="build and install serving/native (maturin, or `make native`)")

from penstock_serving.protocol.errors import RequestError

from tests.serving_lane import lane_requests as asked
from tests.serving_lane.lane_models import KINDS, Ways, ways

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
CALLED_NUMBERS = (
    "called, one column",
    "called, whole numbers",
    "called, single precision",
    "called, a column of every kind",
    "voting, one column",
    "voting, whole numbers",
)
kinds = pytest.mark.parametrize("kind", KINDS)


def named(found: Ways, row: int, **more: Any) -> bytes:
    columns = found.signature.columns
    values = [asked.spelled(cell, column) for cell, column in zip(found.rows[row], columns, strict=True)]
    inputs = [
        {"name": column.name, "datatype": column.datatype.value, "shape": [1], "data": [orjson.loads(value)]}
        for value, column in zip(values, columns, strict=True)
    ]
    return orjson.dumps({**more, "inputs": inputs})


def table(rows: Any, **more: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return orjson.dumps({**more, "inputs": [tensor]})


@kinds
def test_ordinary_requests_go_by_the_lane(kind: str) -> None:
    """Complete rows at least; those with a missing value where nothing has to be looked at more closely."""
    found = ways(kind)
    whole = [row for row in range(60) if not any(cell is None or cell != cell for cell in found.rows[row])]
    answered = [row for row in whole if found.check(named(found, row, id=f"row {row}"))]
    if kind.startswith("bounded"):
        assert len(whole) / 2 < len(answered) < len(whole)
    else:
        assert answered == whole


@pytest.mark.parametrize(
    "kind",
    [
        "numbers, text labels",
        "a forest",
        "regressor",
        "regressor, several",
        "transformer",
        "called, labels of floats",
        "called, regressor, several",
        "called, a process",
        "called, transformer",
        "voting, labels of floats",
    ],
)
@pytest.mark.parametrize("count", [1, 2, 200, 256])
def test_rows_by_position_go_by_the_lane(kind: str, count: int) -> None:
    found = ways(kind)
    rows = np.resize(found.rows, (count, found.rows.shape[1]))
    assert found.check(table(rows))
    assert found.check(
        orjson.dumps(
            {"inputs": [{"data": rows.ravel().tolist(), "name": "x y", "shape": [count, 6], "datatype": "FP64"}]}
        )
    )


def test_more_than_256_rows_are_left_to_python() -> None:
    found = ways("regressor")
    rows = np.resize(found.rows, (257, 6))
    assert found.natively([table(rows)]) == [None]
    assert not isinstance(found.in_python(table(rows)), RequestError)


def test_rows_with_missing_values_go_by_the_lane_where_the_model_takes_everything() -> None:
    found = ways("missing values, histogram boosting")
    holes = [row for row in range(60) if np.isnan(found.rows[row]).any()]
    assert holes
    assert all(found.check(named(found, row)) for row in holes)


def test_unseen_and_missing_words_go_by_the_lane_where_the_model_takes_everything() -> None:
    found = ways("text, takes everything")
    words = {"town": ["Bern", "Genève", "", None, "nie gesehen", "😀"], "kind": ["a", "new", None]}
    document = orjson.loads(named(found, 0))
    for name, values in words.items():
        for value in values:
            changed = [item | {"data": [value]} if item["name"] == name else item for item in document["inputs"]]
            assert found.check(orjson.dumps({"inputs": changed}))


@kinds
@settings(max_examples=120, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_lane_answers_as_python_does_or_not_at_all(kind: str, data: st.DataObject) -> None:
    found = ways(kind)
    found.check(data.draw(asked.requests(found), "request"))


@pytest.mark.parametrize("number", asked.NUMBERS, ids=lambda number: number.decode()[:30])
@pytest.mark.parametrize(
    "kind",
    [
        "one column",
        "whole numbers",
        "single precision",
        "regressor, single precision",
        "a column of every kind",
        *CALLED_NUMBERS,
    ],
)
def test_every_number_is_read_as_python_reads_it(kind: str, number: bytes) -> None:
    """In each column, as the only value out of the ordinary."""
    found = ways(kind)
    columns = found.signature.columns
    for at in range(len(columns)):
        values = [asked.spelled(cell, column) for cell, column in zip(found.rows[0], columns, strict=True)]
        values[at] = number
        inputs = [
            b'{"name":%b,"datatype":%b,"shape":[1],"data":[%b]}'
            % (orjson.dumps(column.name), orjson.dumps(column.datatype.value), value)
            for value, column in zip(values, columns, strict=True)
        ]
        found.check(b'{"inputs":[%b]}' % b",".join(inputs))


@pytest.mark.parametrize("seed", range(10))
def test_numbers_of_every_size_are_read_and_written_as_python_does(seed: int) -> None:
    """Random bits as numbers, through a scaler: what comes out is of every size, too."""
    found = ways("transformer")
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 1 << 64, 20_000, dtype=np.uint64, endpoint=False).view(np.float64)
    numbers = bits[np.abs(bits) < 1e149][: 256 * 6]
    assert found.check(table(numbers.reshape(256, 6)))
    # few digits, near the sizes at which the way of writing changes
    short = rng.integers(1, 1_000, 256 * 6) * 10.0 ** rng.integers(-12, 25, 256 * 6)
    assert found.check(table(short.reshape(256, 6)))


@pytest.mark.parametrize("kind", ["regressor, tree", "called, text labels", "called, regressor", "voting, text labels"])
def test_what_is_asked_at_once_is_answered_each_by_itself(kind: str) -> None:
    """Ordinary requests, others between them: answers, rows and what the monitor is told stay together."""
    found = ways(kind)
    bodies = []
    for at in range(150):
        bodies.append(named(found, at % 60, id=str(at)) if at % 3 else table(found.rows[at : at + at % 40 + 1]))
        if at % 4 == 0:
            bodies.append(b"{" + b"x" * at)
    answered, rows, told = found.front.ask(bodies)
    assert sum(rows) == len(told)
    ends = np.cumsum(rows)
    answers = [(body, told[end - count : end]) for body, end, count in zip(answered, ends, rows, strict=True)]
    for number, body in enumerate(bodies):
        ours, observed = answers[number]
        theirs = found.in_python(body)
        if isinstance(theirs, RequestError):
            assert ours is None
        else:
            # a leaf's number or a label: to the bit the same, alone or not
            assert ours == theirs.body
            np.testing.assert_array_equal(observed, theirs.observed)
