"""The server's side of the monitor's socket: rows are gathered in blocks, and every record keeps its number."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.monitor.wire import MAX_DATAGRAM, Datagram, Kind, decode, encode
from penstock_serving.protocol.rules import NUMBER, Rule
from penstock_serving.server.feed import Feed

OVERHEAD = 256


class Heard(Feed):
    """A feed whose datagrams are noted; it has no thread: what would be done there is done by `empty`."""

    def __init__(self, buffer_bytes: int = 8 << 20) -> None:
        super().__init__(Path("/nowhere"), buffer_bytes)
        self.heard: list[Datagram] = []
        self.refuses = False

    def _send(self, datagram: Datagram) -> bool:
        if self.refuses:
            return False
        self.heard.append(datagram)
        return True

    def empty(self) -> None:
        self._empty()

    def records(self) -> list[tuple[int, Kind, list[float]]]:
        """What was heard, record by record: its number, its kind and its content."""
        return [
            (datagram.first + at, datagram.kind, record.tolist())
            for datagram in self.heard
            if datagram.kind is not Kind.POSITION
            for at, record in enumerate(datagram.records)
        ]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.integers(1, 12)),
        st.tuples(st.just("many rows"), st.integers(100, 3_000)),
        st.tuples(st.just("refusal"), st.just(1)),
        st.tuples(st.just("empty"), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    steps=steps, width=st.sampled_from([2, 5, 31, 300, 2_049, 4_100]), limit=st.sampled_from([2_000, 100_000, 8 << 20])
)
def test_every_record_is_heard_under_its_number_or_was_dropped(steps: list[Any], width: int, limit: int) -> None:
    feed = Heard(limit)
    numbered: list[tuple[int, Kind, list[float]]] = []
    # what any buffer of this size has room for, whatever else is in it: nothing else may be dropped
    surely, dropped = 0, 0
    for kind, count in steps:
        count = min(count, 40_000 // width + 1)
        first = len(numbered)
        before = feed.counts()
        match kind:
            case "empty":
                feed.empty()
                surely = 0
                assert feed.counts().waiting == 0
                continue
            case "refusal":
                feed.refusal(Rule.MISSING_VALUE, first)
                numbered.append((first, Kind.REFUSALS, [NUMBER[Rule.MISSING_VALUE], first]))
                size = 8
            case _:
                rows = np.arange(first * width, (first + count) * width, dtype=np.float64).reshape(count, width)
                feed.rows(rows)
                numbered += [(first + at, Kind.ROWS, row) for at, row in enumerate(rows.tolist())]
                size = rows.nbytes
        surely += size + OVERHEAD
        after = feed.counts()
        lost = after.dropped - before.dropped
        assert lost in {0, after.sent + after.dropped + after.waiting - first}
        assert not lost or surely + OVERHEAD > limit
        dropped += lost
        if lost:
            numbered[first:] = [(number, kind, []) for number, kind, _ in numbered[first:]]
    feed.empty()
    heard = feed.records()
    assert [number for number, *_ in heard] == sorted({number for number, *_ in heard})
    wanted = [record for record in numbered if record[2] and len(record[2]) * 8 + 64 <= MAX_DATAGRAM]
    assert heard == wanted
    counts = feed.counts()
    assert counts.waiting == 0
    assert counts.sent == len(heard)
    assert counts.sent + counts.dropped == len(numbered)
    assert feed._bytes == 0
    for datagram in feed.heard:
        content = encode(datagram)
        assert len(content) <= MAX_DATAGRAM
        assert encode(decode(content, width - 1)) == content


def test_a_row_at_a_time_is_gathered() -> None:
    feed = Heard()
    for number in range(100):
        feed.rows(np.full((1, 5), float(number)))
    feed.empty()
    (rows, position) = feed.heard
    assert (rows.first, rows.records[:, 0].tolist()) == (0, [float(number) for number in range(100)])
    assert (position.kind, position.first) == (Kind.POSITION, 100)


def test_rows_that_were_offered_may_be_changed_afterwards() -> None:
    feed = Heard()
    rows = np.zeros((1, 5))
    feed.rows(rows)
    rows[:] = 9
    feed.empty()
    assert feed.heard[0].records.sum() == 0


@pytest.mark.parametrize("refusals", [True, False])
def test_what_waits_holds_about_what_the_buffer_may_hold(refusals: bool) -> None:
    """A monitor that does not read: one row by one, with refusals between them or without."""
    limit = 1 << 20
    feed = Heard(limit)
    tracemalloc.start()
    try:
        for _ in range(30_000):
            feed.rows(np.zeros((1, 5)))
            if refusals:
                feed.refusal(Rule.MISSING_VALUE, 0)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert feed.counts().dropped or not refusals
    assert held < 4 * limit


def test_what_is_not_taken_is_dropped_and_counted() -> None:
    feed = Heard()
    feed.refuses = True
    feed.rows(np.zeros((3, 5)))
    feed.refusal(Rule.MISSING_VALUE, 0)
    feed.empty()
    counts = feed.counts()
    assert (counts.sent, counts.dropped, counts.waiting) == (0, 4, 0)
