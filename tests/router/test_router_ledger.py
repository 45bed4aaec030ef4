"""The ledger and its journal: every request in exactly one row, whatever stops when."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock.router.errors import JournalError
from penstock.router.journal import Journal
from penstock.router.ledger import IDLE_INTERVAL, Ledger, Written
from penstock.router.plan import RouterState, Scope, Slot
from penstock.router.routing import Dialect, Threshold

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

SCOPE = Scope(1, 1_000, (Threshold("slow", 50),), Dialect.MARKED)
STATE = RouterState(
    models={},
    leaving=(),
    slots={
        "fraud": (Slot(0, "u", "r1", 3, 500, "one", "two", free_at=900.0), Slot(1, "u", "r1", 4, 2_550, "one", "two")),
        "calm": (Slot(0, "v", "", 1, 0, "only", None),),
    },
    scopes={"fraud": (SCOPE,), "calm": (SCOPE,)},
    next_generation=2,
)


def counters(model: str = "fraud", **counts: int) -> str:
    """Envoy's counters: `c1=4` good answers, `c1_bad=2` failed ones."""
    lines = []
    for name, count in counts.items():
        slot, _, bad = name.partition("_")
        code = 500 if bad else 200
        lines.append(
            f"penstock.{model}.1.try.slot.{slot}.attempt.1.shield..code.{code}.flags.-"
            f".refused..saturated..grpc..band.0-49: {count}"
        )
    return "\n".join(lines)


def rows(journal: Journal, since: str = "") -> list[dict[str, object]]:
    """All rows behind a cursor."""
    return [json.loads(line) for line in journal.page(since, None).lines]


def test_a_row_has_the_format_that_replay_reads(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "router-0")
    tick = Ledger(Written("b1", {}, 0.0)).observe(counters(c1=4, c1_bad=2, s1=9), STATE, 100.25)
    assert tick is not None
    journal.append(tick)
    assert rows(journal) == [
        {
            "t": 100.25, "router": "router-0/b1", "boot": "b1", "model": "fraud", "version": 4, "arm": "candidate",
            "revision": "two", "weight": 25.5, "requests": 6, "release": "r1", "errors": 2, "failed": 2,
            "refused": 0, "slow": {"slow": 2},
        },
        {
            "t": 100.25, "router": "router-0/b1", "boot": "b1", "model": "fraud", "version": 4, "arm": "stable",
            "revision": "one", "weight": 25.5, "requests": 9, "release": "r1", "failed": 0,
            "refused": 0, "slow": {"slow": 0},
        },
    ]  # fmt: skip


def test_late_endings_of_an_old_epoch_are_rows_of_that_epoch() -> None:
    ledger = Ledger(Written("b", {}, 0.0))
    tick = ledger.observe(counters(c0_bad=1, c1=2), STATE, 5.0)
    assert tick is not None
    assert [(row.version, row.tally.requests, row.tally.failed) for row in tick.rows] == [(3, 1, 1), (4, 2, 0)]


def test_a_model_that_nobody_judges_gets_rows_now_and_then() -> None:
    ledger = Ledger(Written("b", {}, 0.0))
    assert ledger.observe(counters("calm", s0=1), STATE, 100.0) is not None
    assert ledger.observe(counters("calm", s0=2), STATE, 101.0) is None
    tick = ledger.observe(counters("calm", s0=5), STATE, 100.0 + IDLE_INTERVAL)
    assert tick is not None
    assert [(row.arm.value, row.weight, row.tally.requests) for row in tick.rows] == [("stable", 0.0, 4)]


def test_time_in_the_ledger_never_goes_back() -> None:
    ledger = Ledger(Written("b", {}, 50.0))
    ticks = [ledger.observe(counters(c1=count), STATE, now) for count, now in ((1, 60.0), (2, 40.0), (3, 60.0005))]
    times = [tick.time for tick in ticks if tick is not None]
    assert times == [60.0, 60.001, 60.002]


events = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from(["c0", "c1", "c1_bad", "s1"]), st.integers(1, 50)),
        st.tuples(st.sampled_from(["observe", "agent restart", "envoy restart", "torn line"]), st.none(), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=events)
def test_each_request_is_in_exactly_one_row_whatever_stops_when(
    history: list[tuple[str, str | None, int | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    journal = Journal(folder, "r", segment_bytes=700)
    counts: dict[str, int] = {}
    noted = lost = boot = 0
    now, cursor, pulled = 10.0, "", 0
    ledger = Ledger(Written("boot0", {}, 0.0))
    for what, name, number in [*history, ("observe", None, None)]:
        now += 0.25
        if what == "count" and name is not None and number is not None:
            counts[name] = counts.get(name, 0) + number
        elif what == "observe":
            tick = ledger.observe(counters(**counts), STATE, now)
            if tick is not None:
                journal.append(tick)
            noted = sum(counts.values())
            page = journal.page(cursor, None)
            assert not page.gap
            cursor, pulled = page.cursor, pulled + _requests(page.lines)
        elif what == "envoy restart":
            lost += sum(counts.values()) - noted
            pulled, noted, counts, boot, cursor = pulled, 0, {}, boot + 1, cursor
            ledger = Ledger(Written(f"boot{boot}", {}, journal.written.time))
        else:
            if what == "torn line":
                _tear(folder)
            journal = Journal(folder, "r", segment_bytes=700)
            written = journal.written
            ledger = Ledger(written if written.boot == ledger.boot else Written(ledger.boot, {}, written.time))
    told = _requests(journal.page("", None).lines)
    everything = sum(it[2] for it in history if it[0] == "count" and it[2] is not None)
    assert told == pulled == everything - lost
    times = [row["t"] for row in rows(journal)]
    assert times == sorted(times)


def _requests(lines: Iterable[str]) -> int:
    return sum(json.loads(line)["requests"] for line in lines)


def _tear(folder: Path) -> None:
    """As when the agent dies while it writes: half a line that no reader has seen."""
    segments = sorted(folder.glob("*.jsonl"))
    if segments:
        with segments[-1].open("a") as file:
            file.write('{"seq":99,"t":1.0,"boot":"bo')


def test_the_ring_drops_whole_old_segments_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.router.journal.KEEP_BYTES", 3_000)
    journal = Journal(tmp_path, "r", segment_bytes=500)
    ledger = Ledger(Written("b", {}, 0.0))
    first = journal.cursor
    for count in range(1, 60):
        tick = ledger.observe(counters(c1=count), STATE, 100.0 + count)
        assert tick is not None
        journal.append(tick)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) < 4_500
    kept = rows(journal)
    assert len(kept) < 40
    assert kept[-1]["t"] == 159.0
    assert journal.page(first, None).gap
    assert not journal.page(journal.cursor, None).gap
    assert journal.page("other-5", None).gap


def test_pages_are_by_model(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "r")
    tick = Ledger(Written("b", {}, 0.0)).observe(counters(c1=1) + "\n" + counters("calm", s0=1), STATE, 50.0)
    assert tick is not None
    journal.append(tick)
    assert [json.loads(line)["model"] for line in journal.page("", "calm").lines] == ["calm"]
    assert len(journal.page("", None).lines) == 2


def test_a_journal_that_is_none_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / f"{1:020d}.jsonl").write_text("what?\n")
    with pytest.raises(JournalError, match=r"0001\.jsonl"):
        Journal(tmp_path, "r")
    with pytest.raises(JournalError, match="writable"):
        Journal(tmp_path / f"{1:020d}.jsonl" / "inside", "r")
