"""What the monitor counts is what was sent, bucket by bucket, and what it did not see is counted too."""

import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.backoff import Backoff
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.count import Tally
from penstock_serving.monitor.exposition import MonitorMetrics, buckets
from penstock_serving.monitor.layout import layout
from penstock_serving.monitor.restarts import RestartCounter
from penstock_serving.monitor.state import State
from penstock_serving.monitor.supervisor import Supervisor
from penstock_serving.monitor.wire import Datagram, Kind, MalformedDatagramError, decode, encode
from penstock_serving.protocol.rules import RULES
from penstock_serving.server.feed import Feed, split
from penstock_serving.server.observe import Observer
from prometheus_client.parser import text_string_to_metric_families

SIGNATURE = Signature(
    columns=(
        Column("amount", Datatype.FP64, True, True, (-1.0, 0.0, 2.5), ()),
        Column("country", Datatype.BYTES, True, True, (), ("DE", "FR")),
        Column("count", Datatype.INT64, True, True, (), ()),
    ),
    outputs=(Output("predict", Datatype.BYTES, 0),),
    classes=("no", "yes"),
    prediction_edges=(),
    versions=Versions("3.11", "1.9", "2.4", "1.6"),
)
REGRESSOR = Signature(SIGNATURE.columns, SIGNATURE.outputs, (), (0.0, 1.0), SIGNATURE.versions)
IDENTITY = ("fraud", "fraud-1", "sha256:x")

amounts = st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([-1.0, 0.0, 2.5]))
rows = st.lists(
    st.tuples(
        amounts,
        st.one_of(st.none(), st.sampled_from(["DE", "FR", "IT"])),
        st.one_of(st.none(), st.integers(-9, 9)),
        st.sampled_from(["no", "yes"]),
    ),
    min_size=1,
    max_size=12,
)


def table(drawn: list[tuple[Any, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """The model's matrix of objects and its predictions."""
    cells = np.empty((len(drawn), 3), dtype=object)
    for index, row in enumerate(drawn):
        cells[index] = [np.nan if row[0] is None else row[0], row[1], np.nan if row[2] is None else row[2]]
    return cells, np.array([row[3] for row in drawn], dtype=object)


@settings(deadline=None, max_examples=100)
@given(st.lists(rows, min_size=1, max_size=4))
def test_buckets_hold_what_numpy_counts(batches: list[list[tuple[Any, ...]]]) -> None:
    spans = layout(SIGNATURE)
    counters = np.zeros(spans.words, dtype=np.int64)
    tally, observer, position = Tally(SIGNATURE, spans), Observer(SIGNATURE), 0
    for batch in batches:
        observed = observer.rows(*table(batch))
        tally.add(decode(encode(Datagram(Kind.ROWS, 7, position, observed)), 3), counters)
        position += len(batch)
    drawn = [row for batch in batches for row in batch]
    amounts = [row[0] for row in drawn if row[0] is not None]
    edges = SIGNATURE.columns[0].edges
    expected = [sum(a <= edge for a in amounts) for edge in edges]
    counted = counters[spans.features[0].start : spans.features[0].stop]
    assert counted.cumsum().tolist() == [*expected, len(amounts)]
    countries = Counter(row[1] for row in drawn)
    assert counters[spans.features[1].start : spans.features[1].stop].tolist() == [
        countries[c] for c in ("DE", "FR", "IT")
    ]
    missing = [sum(row[index] is None for row in drawn) for index in range(3)]
    assert counters[spans.missing.start : spans.missing.stop].tolist() == missing
    classes = Counter(row[3] for row in drawn)
    assert counters[spans.predictions.start : spans.predictions.stop].tolist() == [classes["no"], classes["yes"]]
    assert counters[at.ROWS] == len(drawn)
    assert counters[at.LOST] == 0


@pytest.mark.parametrize(
    ("signature", "predictions", "counted", "unobserved"),
    [
        (SIGNATURE, np.array(["yes", "no", "no"]), [2, 1], 0),
        (SIGNATURE, None, [0, 0], 3),
        (REGRESSOR, np.array([-1.0, 0.5, 9.0]), [1, 1, 1], 0),
        (REGRESSOR, np.array([0, 1, 2]), [1, 1, 1], 0),
        (REGRESSOR, np.ones((3, 2)), [0, 0, 0], 3),
        (REGRESSOR, np.array(["a", "b", "c"]), [0, 0, 0], 3),
    ],
)
def test_predictions_are_counted_by_class_or_value(
    signature: Signature, predictions: Any, counted: list[int], unobserved: int
) -> None:
    spans = layout(signature)
    counters = np.zeros(spans.words, dtype=np.int64)
    observed = Observer(signature).rows(table([(1.0, "DE", 1, "no")] * 3)[0], predictions)
    Tally(signature, spans).add(Datagram(Kind.ROWS, 7, 0, observed), counters)
    assert counters[spans.predictions.start : spans.predictions.stop].tolist() == counted
    assert counters[at.UNOBSERVED] == unobserved


records = st.one_of(
    st.integers(1, 5).map(lambda count: (Kind.ROWS, np.zeros((count, 4)))),
    st.integers(1, 3).map(lambda count: (Kind.REFUSALS, np.zeros((count, 2), dtype=np.int32))),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(records, st.booleans()), max_size=12), st.data())
def test_what_did_not_arrive_is_counted_to_the_last_record(stream: list[Any], data: st.DataObject) -> None:
    """Whatever subset of the datagrams arrives, whatever arrives twice: seen and lost add up to what was numbered."""
    spans = layout(SIGNATURE)
    counters = np.zeros(spans.words, dtype=np.int64)
    tally, position, seen = Tally(SIGNATURE, spans), 0, 0
    for (kind, content), arrives in stream:
        datagram = Datagram(kind, 7, position, content)
        position += len(content)
        if arrives:
            seen += len(content)
            for _ in range(data.draw(st.integers(1, 2))):
                tally.add(datagram, counters)
    tally.add(Datagram(Kind.POSITION, 7, position, np.empty((0, 2), dtype=np.int32)), counters)
    assert counters[at.ROWS] + counters[at.REFUSALS] == seen
    assert counters[at.LOST] == position - seen


def test_a_restarted_server_numbers_anew() -> None:
    spans = layout(SIGNATURE)
    counters = np.zeros(spans.words, dtype=np.int64)
    tally = Tally(SIGNATURE, spans)
    tally.add(Datagram(Kind.ROWS, 7, 0, np.zeros((5, 4))), counters)
    tally.add(Datagram(Kind.ROWS, 8, 2, np.zeros((5, 4))), counters)
    assert (counters[at.ROWS], counters[at.LOST]) == (10, 2)


def test_refusals_are_counted_by_rule_and_column() -> None:
    spans = layout(SIGNATURE)
    counters = np.zeros(spans.words, dtype=np.int64)
    refusals = np.array([[0, 1], [0, 1], [4, -1], [99, 0], [3, 77]], dtype=np.int32)
    Tally(SIGNATURE, spans).add(Datagram(Kind.REFUSALS, 7, 0, refusals), counters)
    found = counters[spans.violations.start : spans.violations.stop].reshape(len(RULES), 4)
    assert (found[0, 1], found[4, 3], found[3, 3], found.sum()) == (2, 1, 1, 4)
    assert counters[at.REFUSALS] == 5


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=120) | st.just(encode(Datagram(Kind.ROWS, 1, 0, np.zeros((2, 4))))), st.data())
def test_bytes_that_are_no_datagram_are_refused(content: bytes, data: st.DataObject) -> None:
    cut = content[: data.draw(st.integers(0, len(content)))]
    try:
        datagram = decode(cut, 3)
    except MalformedDatagramError:
        return
    assert encode(datagram) == cut


def test_a_datagram_of_another_model_is_refused() -> None:
    with pytest.raises(MalformedDatagramError):
        decode(encode(Datagram(Kind.ROWS, 1, 0, np.zeros((2, 4)))), 4)


@given(st.integers(1, 3000), st.integers(1, 40))
@settings(deadline=None, max_examples=30)
def test_long_batches_are_split_without_a_gap(count: int, columns: int) -> None:
    pieces = split(Datagram(Kind.ROWS, 1, 10, np.zeros((count, columns))))
    position = 10
    for piece in pieces:
        assert piece.first == position
        assert len(encode(piece)) <= 64 << 10
        position = piece.next
    assert position == 10 + count


def test_rows_too_wide_for_a_datagram_are_dropped() -> None:
    assert split(Datagram(Kind.ROWS, 1, 0, np.zeros((2, 9000)))) == []


@pytest.fixture
def memory() -> Iterator[int]:
    handle = os.memfd_create("counters")
    yield handle
    os.close(handle)


def test_a_change_that_was_not_committed_never_happened(memory: int) -> None:
    """Wherever the counting process is killed, the next one sees whole datagrams only."""
    spans = layout(SIGNATURE)
    RestartCounter(memory)
    state = State(memory, spans)
    state.begin()[at.ROWS] += 5
    state.commit()
    state.begin()[:] = 99
    reopened = State(memory, spans)
    assert reopened.snapshot()[at.ROWS] == 5
    assert reopened.snapshot().sum() == 5
    again = reopened.begin()
    assert again[at.ROWS] == 5


def test_counters_of_another_signature_start_at_zero(memory: int) -> None:
    state = State(memory, layout(SIGNATURE))
    state.begin()[at.ROWS] += 5
    state.commit()
    other = Signature(SIGNATURE.columns[:1], SIGNATURE.outputs, (), (), SIGNATURE.versions)
    assert State(memory, layout(other)).snapshot().sum() == 0


def test_the_counters_are_prometheus_text(memory: int) -> None:
    spans = layout(SIGNATURE)
    state = State(memory, spans)
    counters = state.begin()
    observed = Observer(SIGNATURE).rows(*table([(0.0, "DE", 1, "yes"), (9.0, "IT", None, "no")]))
    Tally(SIGNATURE, spans).add(Datagram(Kind.ROWS, 7, 3, observed), counters)
    Tally(SIGNATURE, spans).add(Datagram(Kind.REFUSALS, 7, 5, np.array([[0, 2]], dtype=np.int32)), counters)
    state.commit()
    text = MonitorMetrics(IDENTITY, SIGNATURE, spans, state).render().decode()
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = sorted(item for item in sample.labels.items() if item[0] not in {"model", "revision", "digest"})
            samples[sample.name, *(value for _, value in own)] = sample.value
    assert samples["penstock_monitor_records_total", "row"] == 2
    assert samples["penstock_monitor_lost_records_total",] == 3
    assert samples["penstock_feature_value_bucket", "amount", "-1.0"] == 0
    assert samples["penstock_feature_value_bucket", "amount", "0.0"] == 1
    assert samples["penstock_feature_value_bucket", "amount", "+Inf"] == 2
    assert samples["penstock_feature_category_total", "(unseen)", "country"] == 1
    assert samples["penstock_feature_missing_total", "count"] == 1
    assert samples["penstock_prediction_class_total", "yes"] == 1
    assert samples["penstock_schema_violations_total", "count", "missing_column"] == 1


def test_cumulative_buckets() -> None:
    assert buckets((1.0, 2.0), (3, 0, 4)) == [("1.0", 3), ("2.0", 3), ("+Inf", 7)]


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "monitor.sock"))
        bound.settimeout(5)
        yield bound


def received(intake: socket.socket, records: int) -> int:
    """Read until that many records arrived."""
    found = 0
    while found < records:
        found += len(decode(intake.recv(1 << 17), 3).records)
    return found


def test_the_feed_sends_everything_in_order(intake: socket.socket, tmp_path: Path) -> None:
    feed = Feed(tmp_path / "monitor.sock")
    feed.start()
    for count in (1, 3000, 2):
        feed.rows(np.zeros((count, 4)))
    assert received(intake, 3003) == 3003
    feed.close()
    counts = feed.counts()
    assert (counts.sent, counts.dropped, counts.waiting) == (3003, 0, 0)


def test_without_a_monitor_records_are_dropped_and_counted(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "nobody.sock")
    feed.start()
    for _ in range(50):
        feed.rows(np.zeros((2, 4)))
    feed.close()
    counts = feed.counts()
    assert (counts.sent, counts.dropped, counts.waiting) == (0, 100, 0)


def test_a_monitor_that_does_not_read_costs_no_time_and_beyond_the_buffer_records_are_dropped(
    intake: socket.socket, tmp_path: Path
) -> None:
    feed = Feed(tmp_path / "monitor.sock", buffer_bytes=1 << 20)
    feed.start()
    began = time.monotonic()
    for _ in range(2000):
        feed.rows(np.zeros((100, 4)))
    took = time.monotonic() - began
    counts = feed.counts()
    assert took < 2.0
    assert counts.sent + counts.dropped + counts.waiting == 200_000
    assert counts.dropped > 0
    assert counts.waiting > 0
    began = time.monotonic()
    feed.close()
    assert time.monotonic() - began < 3.0


def test_a_monitor_that_comes_back_gets_what_waited(intake: socket.socket, tmp_path: Path) -> None:
    feed = Feed(tmp_path / "monitor.sock")
    feed.start()
    for _ in range(500):
        feed.rows(np.zeros((100, 4)))
    assert received(intake, 50_000) == 50_000
    feed.close()
    assert feed.counts().dropped == 0


@pytest.mark.parametrize(
    ("pause", "ran", "then"), [(0.1, 0.0, 0.2), (8.0, 1.0, 10.0), (10.0, 59.0, 10.0), (10.0, 60.0, 0.1)]
)
def test_pauses_between_restarts_double_up_to_a_limit(pause: float, ran: float, then: float) -> None:
    assert Backoff().next(pause, ran) == then


def test_the_supervisor_outlives_a_process_that_always_crashes(
    intake: socket.socket, memory: int, wait: Callable[..., Any]
) -> None:
    crash = [sys.executable, "-c", "import os; os.abort()"]
    supervisor = Supervisor(crash, intake, memory, Backoff(first=0.01, most=0.02))
    runner = threading.Thread(target=supervisor.run)
    runner.start()
    words = memoryview(mmap.mmap(memory, 4096)).cast("q")
    wait(lambda: words[0] >= 3)
    assert runner.is_alive()
    supervisor.stop()
    runner.join(5)
    assert not runner.is_alive()


def test_the_supervisor_outlives_a_command_that_does_not_exist(
    intake: socket.socket, memory: int, wait: Callable[..., Any]
) -> None:
    supervisor = Supervisor(["/no/such/command"], intake, memory, Backoff(first=0.01, most=0.02))
    runner = threading.Thread(target=supervisor.run)
    runner.start()
    words = memoryview(mmap.mmap(memory, 4096)).cast("q")
    wait(lambda: words[0] >= 2)
    supervisor.stop()
    runner.join(5)
    assert not runner.is_alive()


def test_the_sidecar_waits_for_its_folder_and_ends_when_told(tmp_path: Path, wait: Callable[..., Any]) -> None:
    """No folder, no model: it never exits by itself; the socket appears with the folder."""
    path = tmp_path / "later" / "monitor.sock"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock_serving.monitor"], env={"PENSTOCK_MONITOR_SOCKET": str(path)}, stderr=log
        )
    wait(lambda: b"trying again" in (tmp_path / "log").read_bytes())
    path.parent.mkdir()
    wait(lambda: b"it is started again" in (tmp_path / "log").read_bytes())
    assert path.is_socket()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.booleans()), max_size=60))
def test_each_worker_is_numbered_apart(sent: list[tuple[int, int, bool]]) -> None:
    spans = layout(SIGNATURE)
    tally, counters = Tally(SIGNATURE, spans), np.zeros(spans.words, dtype=np.int64)
    following, arrived, lost, position = [0] * 6, 0, 0, [0] * 6
    for worker, count, arrives in sent:
        if arrives:
            arrived += count
            lost += following[worker] - position[worker]
            refusals = np.zeros((count, 2), dtype=np.int32)
            tally.add(Datagram(Kind.REFUSALS, worker + 1, following[worker], refusals), counters)
            position[worker] = following[worker] + count
        following[worker] += count
    assert counters[at.REFUSALS] == arrived
    assert counters[at.LOST] == lost
