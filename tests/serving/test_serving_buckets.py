"""Both ways of counting rows count the same, and what the rules say."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_serving.monitor.buckets import Column, Native, Numpy, buckets

EDGES = st.lists(st.floats(-10, 10) | st.just(np.inf), max_size=8).map(sorted)
COLUMNS = st.lists(
    EDGES.map(lambda edges: Column(edges, len(edges) + 1)) | st.integers(1, 9).map(lambda size: Column(None, size)),
    min_size=1,
    max_size=5,
)
VALUES = st.floats(allow_subnormal=True) | st.integers(-3, 12).map(float)


@st.composite
def counted(draw: st.DrawFn) -> tuple[list[Column], np.ndarray]:
    """Columns, and rows of which many values are at an edge."""
    columns = draw(COLUMNS)
    edges = [edge for column in columns for edge in column.edges or ()]
    values = VALUES | st.sampled_from(edges) if edges else VALUES
    width = len(columns)
    rows = draw(st.lists(st.lists(values, min_size=width, max_size=width), max_size=30))
    return columns, np.array(rows, dtype=np.float64).reshape(-1, width)


@given(counted())
def test_natively_and_by_numpy_the_counts_are_the_same(found: tuple[list[Column], np.ndarray]) -> None:
    pytest.importorskip("penstock_lane", reason="build and install serving/native (`make`)")
    columns, rows = found
    ours, missing = Native(columns).count(rows)
    theirs, also_missing = Numpy(columns).count(rows)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(missing, also_missing)
    assert ours.sum() + missing.sum() == rows.size


@pytest.mark.parametrize("way", [Numpy, Native])
def test_ends_belong_to_their_bucket_and_what_is_no_position_to_the_last(way: type[Numpy] | type[Native]) -> None:
    if way is Native:
        pytest.importorskip("penstock_lane", reason="build and install serving/native (`make`)")
    counts, missing = way([Column([0.0, 1.0], 3), Column(None, 3)]).count(
        np.array([[0.0, 0.0], [0.5, 1.0], [1.0, 2.0], [1.5, 3.0], [np.inf, -1.0], [np.nan, np.nan]])
    )
    assert counts.tolist() == [1, 2, 2, 1, 1, 3]
    assert missing.tolist() == [1, 1]


def test_without_the_native_code_numpy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "penstock_lane", None)
    assert isinstance(buckets([Column(None, 1)]), Numpy)
