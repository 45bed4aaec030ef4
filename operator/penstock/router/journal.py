"""The ledger's memory: lines in files that form a ring, readable from any cursor on, whole after any crash.

A segment begins with all that was written before it, so a start reads the newest segment only. A line is written in
one piece; one cut short by a crash is dropped, and its counts, which Envoy still has, are written anew.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from penstock.router.counters import Key
from penstock.router.errors import JournalError
from penstock.router.ledger import Tick, Written
from penstock.router.rows import deltas_json, read_deltas, tick_line
from penstock.router.tally import Tally

SEGMENT_BYTES = 2**20
KEEP_SECONDS = 24 * 3600.0
KEEP_BYTES = 256 * 2**20
_MOST_ROWS = 50_000
_SEQUENCE = '{"seq":'


@dataclass(frozen=True, slots=True)
class Page:
    """Rows after a cursor, as JSON lines. `gap`: some rows after the cursor are gone for good."""

    lines: tuple[str, ...]
    cursor: str
    gap: bool


@dataclass(frozen=True, slots=True)
class _Segment:
    first: int
    path: Path


class Journal:
    """The ring in one folder. Raises JournalError when the disk refuses."""

    def __init__(self, folder: Path, router: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._router = router
        self._segment_bytes = segment_bytes
        self._written = Written("", {}, 0.0)
        self._last = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._id = self._identity()
            segments = self._segments()
            if segments:
                self._recover(segments[-1])
        except OSError as error:
            raise JournalError(f"{folder}: {error}; the ledger needs a writable folder") from error

    @property
    def written(self) -> Written:
        """What the rows of the last boot hold."""
        return self._written

    @property
    def cursor(self) -> str:
        """The cursor behind the last row."""
        return f"{self._id}-{self._last}"

    def append(self, tick: Tick) -> None:
        """Write a tick down; when this returns, its rows can be read and will not change."""
        before = self._written if self._written.boot == tick.boot else Written(tick.boot, {}, self._written.time)
        segments = self._segments()
        full = bool(segments) and segments[-1].path.stat().st_size >= self._segment_bytes
        try:
            if not segments or full or before is not self._written:
                self._open_segment(before)
                self._prune(tick.time)
                segments = self._segments()
            with segments[-1].path.open("a", encoding="utf-8") as file:
                file.write(tick_line(tick, self._last + 1, self._router) + "\n")
        except OSError as error:
            raise JournalError(f"{self._folder}: {error}; the ledger needs a writable folder") from error
        self._last += 1
        self._written = Written(tick.boot, _added(before.tallies, tick.deltas), tick.time)

    def page(self, since: str, model: str | None) -> Page:
        """The rows behind a cursor, oldest first, of one model or of all; an empty cursor means from the oldest on."""
        after, known = self._after(since)
        segments = self._segments()
        oldest = segments[0].first if segments else self._last + 1
        gap = bool(since) and (not known or oldest > after + 1)
        lines: list[str] = []
        reached = after
        for index, segment in enumerate(segments):
            if index + 1 < len(segments) and segments[index + 1].first <= after + 1:
                continue
            for sequence, rows in self._read(segment, after):
                reached = sequence
                lines += [json.dumps(row, separators=(",", ":")) for row in rows if model in (None, row.get("model"))]
                if len(lines) >= _MOST_ROWS:
                    return Page(tuple(lines), f"{self._id}-{reached}", gap)
        return Page(tuple(lines), self.cursor, gap)

    def _after(self, since: str) -> tuple[int, bool]:
        """The sequence number that a cursor names, and whether this journal knows it."""
        if not since:
            return 0, True
        identity, _, number = since.rpartition("-")
        if identity != self._id or not number.isdecimal() or int(number) > self._last:
            return 0, False
        return int(number), True

    def _identity(self) -> str:
        path = self._folder / "id"
        if not path.exists():
            replace_file(path, secrets.token_hex(4))
        return path.read_text(encoding="utf-8").strip()

    def _segments(self) -> list[_Segment]:
        return [_Segment(int(path.stem), path) for path in sorted(self._folder.glob("*.jsonl"))]

    def _open_segment(self, before: Written) -> None:
        head = {"boot": before.boot, "time": before.time, "deltas": deltas_json(before.tallies.items())}
        path = self._folder / f"{self._last + 1:020d}.jsonl"
        replace_file(path, json.dumps(head, separators=(",", ":")) + "\n")

    def _recover(self, segment: _Segment) -> None:
        text = segment.path.read_text(encoding="utf-8", errors="replace")
        whole, _, torn = text.rpartition("\n")
        if torn:
            os.truncate(segment.path, len(whole.encode()) + 1)
        head, *ticks = whole.split("\n")
        try:
            opening = json.loads(head)
            written = Written(str(opening["boot"]), read_deltas(opening["deltas"]), float(opening["time"]))
            last = segment.first - 1
            for line in ticks:
                tick = json.loads(line)
                tallies = _added(written.tallies, read_deltas(tick["deltas"]))
                written, last = Written(written.boot, tallies, float(tick["t"])), int(tick["seq"])
        except (ValueError, TypeError, KeyError) as error:
            raise JournalError(f"{segment.path} is no segment of the ledger ({error}); remove it") from error
        self._written, self._last = written, last

    def _read(self, segment: _Segment, after: int) -> Iterator[tuple[int, list[dict[str, object]]]]:
        with segment.path.open(encoding="utf-8") as file:
            next(file, None)
            for line in file:
                sequence = int(line[len(_SEQUENCE) : line.index(",")])
                if sequence > after:
                    yield sequence, json.loads(line)["rows"]

    def _prune(self, now: float) -> None:
        """Drop whole segments, oldest first: those over a day old, and what is too much for the disk."""
        segments = self._segments()
        size = sum(segment.path.stat().st_size for segment in segments)
        for segment, following in pairwise(segments):
            stale = following.path.stat().st_mtime < now - KEEP_SECONDS
            if not stale and size <= KEEP_BYTES:
                return
            size -= segment.path.stat().st_size
            segment.path.unlink()


def replace_file(path: Path, text: str) -> None:
    """Put a file in place in one step: readers see the old text or the new, never a part."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _added(tallies: Mapping[Key, Tally], deltas: Mapping[Key, Tally]) -> dict[Key, Tally]:
    return dict(tallies) | {key: tallies.get(key, Tally()).plus(delta) for key, delta in deltas.items()}
