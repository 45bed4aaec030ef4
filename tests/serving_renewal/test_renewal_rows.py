"""Rows that stand for the reference are ones that serving could be asked for, and always the same."""

import numpy as np
import pytest
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.renewal.rows import golden_or_drawn

EDGES = (1.0, 2.0, 5.0)


def column(name: str, datatype: Datatype, **more: object) -> Column:
    known: dict[str, object] = {"takes_missing": False, "takes_unseen": True, "edges": EDGES, "categories": ()}
    return Column(name, datatype, **(known | more))  # type: ignore[arg-type]


def signature(*columns: Column) -> Signature:
    versions = Versions("3", "1", "2", "1")
    return Signature(columns, (Output("predict", Datatype.FP64, 0),), (), (), versions)


NUMBERS = signature(
    column("amount", Datatype.FP64, bounds=(0.0, 6.0)),
    column("count", Datatype.INT64),
    column("known", Datatype.BOOL, edges=()),
    column("holed", Datatype.FP64, takes_missing=True),
    column("single", Datatype.FP32),
)
MIXED = signature(
    column("amount", Datatype.FP64),
    column("town", Datatype.BYTES, edges=(), categories=("Bern", "Genève"), takes_missing=True),
    column("note", Datatype.BYTES, edges=()),
    column("count", Datatype.INT64),
)


def test_numbers_are_of_their_datatype_within_bounds_and_missing_only_where_taken() -> None:
    golden = np.array([[1.5, 2.0, 1.0, np.nan, 0.5]])
    rows = golden_or_drawn(NUMBERS, golden)
    np.testing.assert_array_equal(rows[0], golden[0])
    assert rows.dtype == np.float64
    amount, count, known, holed, single = rows.T
    assert amount.min() == 0.0
    assert amount.max() == 6.0
    assert set(EDGES) < set(amount)
    np.testing.assert_array_equal(count, np.round(count))
    assert set(known) == {0.0, 1.0}
    assert np.isnan(holed).any()
    assert not np.isnan(rows[:, [0, 1, 2, 4]]).any()
    np.testing.assert_array_equal(single, single.astype(np.float32))


def test_text_is_of_the_vocabulary_or_of_the_golden_rows() -> None:
    golden = np.array([[1.5, "Bern", "first", 3], [2.5, None, "second", 4]], dtype=object)
    rows = golden_or_drawn(MIXED, golden)
    assert set(rows[:, 1]) == {"Bern", "Genève", None}
    assert set(rows[:, 2]) == {"first", "second"}
    assert {type(value) for value in rows[:, 3]} == {int}
    assert {type(value) for value in rows[:, 0]} == {float}


@pytest.mark.parametrize("columns", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_they_are_the_same_every_time(columns: Signature) -> None:
    golden = np.array([[1.0] * len(columns.columns)] * 3, dtype=np.float64 if columns.is_numeric else object)
    first, second = golden_or_drawn(columns, golden), golden_or_drawn(columns, golden)
    np.testing.assert_array_equal(first, second)
    assert len(first) > 1000
