"""Telling the monitor, never waiting for it: a bounded buffer, a thread that empties it, a count of what was lost."""

import socket
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.monitor.wire import HEADER, MAX_DATAGRAM, Datagram, Kind, encode, new_boot
from penstock_serving.protocol.rules import NUMBER, Rule

BUFFER_BYTES = 8 << 20
_OVERHEAD_BYTES = 256
_BLOCK_BYTES = MAX_DATAGRAM // 2
_EVERY_SECONDS = 0.1
_SEND_SECONDS = 0.2
_FLUSH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FeedCounts:
    """Records numbered so far: handed to the monitor's socket, dropped, and still in the buffer."""

    sent: int
    dropped: int
    waiting: int


class _Block:
    """Rows that were numbered one after another, gathered for one datagram."""

    __slots__ = ("first", "records", "used")

    def __init__(self, first: int, width: int) -> None:
        self.first, self.used = first, 0
        self.records = np.empty((max(1, _BLOCK_BYTES // (8 * width)), width))

    def add(self, rows: Matrix) -> bool:
        """Add rows; tell whether there was room for them."""
        end = self.used + len(rows)
        if end > len(self.records):
            return False
        self.records[self.used : end] = rows
        self.used = end
        return True


class Feed:
    """The server's side of the monitor's socket. `rows` and `refusal` may be called from any thread and never wait.

    When the monitor does not read, records wait in a buffer of 8 MiB; beyond it, and when no monitor is there at all,
    they are dropped and counted. Dropped records keep their numbers, so the monitor counts them too.
    """

    def __init__(self, path: Path, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._path = str(path)
        self._limit = buffer_bytes
        self._boot = new_boot()
        self._waiting: deque[Datagram] = deque()
        self._block: _Block | None = None
        self._bytes = 0
        self._numbered = 0
        self._sent = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Start the thread that empties the buffer."""
        self._thread.start()

    def rows(self, observed: Matrix) -> None:
        """Offer served rows [rows, columns + 1]."""
        with self._lock:
            if self._room(observed):
                if self._block is None or not self._block.add(observed):
                    self._close_block()
                    self._block = _Block(self._numbered, observed.shape[1])
                    self._bytes += _OVERHEAD_BYTES
                    if not self._block.add(observed):
                        self._block = None
                        self._waiting.append(Datagram(Kind.ROWS, self._boot, self._numbered, observed))
                self._bytes += observed.nbytes
            self._numbered += len(observed)
            plenty = self._bytes > MAX_DATAGRAM
        if plenty:
            self._wake.set()

    def refusal(self, rule: Rule, column: int) -> None:
        """Offer a refused request: the rule it broke, and the column's position (-1 for none)."""
        record = np.array([[NUMBER[rule], column]], dtype=np.int32)
        with self._lock:
            if self._room(record):
                self._close_block()
                self._waiting.append(Datagram(Kind.REFUSALS, self._boot, self._numbered, record))
                self._bytes += record.nbytes + _OVERHEAD_BYTES
            self._numbered += 1

    def counts(self) -> FeedCounts:
        """What became of the records so far."""
        with self._lock:
            return FeedCounts(self._sent, self._dropped, self._numbered - self._sent - self._dropped)

    def close(self) -> None:
        """Send what is left, for at most two seconds."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_FLUSH_SECONDS)

    def _room(self, records: Matrix) -> bool:
        """Whether there is room for records; else they are dropped, and what comes next does not follow what was before."""
        if self._bytes + records.nbytes + _OVERHEAD_BYTES <= self._limit:
            return True
        self._close_block()
        self._dropped += len(records)
        return False

    def _close_block(self) -> None:
        block, self._block = self._block, None
        if block is not None:
            # without the room that is left: rows with refusals between them would hold a block each
            records = block.records[: block.used].copy()
            self._waiting.append(Datagram(Kind.ROWS, self._boot, block.first, records))

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(_EVERY_SECONDS)
            self._wake.clear()
            self._empty()
        self._empty()
        self._disconnect()

    def _empty(self) -> None:
        while (batch := self._take()) is not None:
            sent = sum(len(piece.records) for piece in split(batch) if self._send(piece))
            with self._lock:
                self._sent += sent
                self._dropped += len(batch.records) - sent
        with self._lock:
            position = Datagram(Kind.POSITION, self._boot, self._numbered, np.empty((0, 2), dtype=np.int32))
            settled = not self._waiting and self._block is None
        if settled:
            self._send(position)

    def _take(self) -> Datagram | None:
        """Take records of one kind that follow one another, about one datagram's worth."""
        with self._lock:
            if not self._waiting:
                self._close_block()
            if not self._waiting:
                return None
            taken = [self._waiting.popleft()]
            size = taken[0].records.nbytes
            while self._waiting and _follows(taken[-1], self._waiting[0]) and size < _BLOCK_BYTES:
                taken.append(self._waiting.popleft())
                size += taken[-1].records.nbytes
            self._bytes -= size + len(taken) * _OVERHEAD_BYTES
        head = taken[0]
        return Datagram(head.kind, head.boot, head.first, np.concatenate([datagram.records for datagram in taken]))

    def _send(self, datagram: Datagram) -> bool:
        """Send one datagram, waiting while the monitor is behind; tell whether it was taken."""
        content = encode(datagram)
        while True:
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._socket.settimeout(_SEND_SECONDS)
                # not connected: a confined server may not connect
                self._socket.sendto(content, self._path)
            except TimeoutError:
                if self._closing.is_set() or datagram.kind is Kind.POSITION:
                    return False
            except OSError:
                self._disconnect()
                return False
            else:
                return True

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _follows(before: Datagram, after: Datagram) -> bool:
    return before.kind is after.kind and before.next == after.first


def split(datagram: Datagram) -> list[Datagram]:
    """The same records in pieces that each fit into a datagram; none when a single record does not fit."""
    width = datagram.records.shape[1] * datagram.records.itemsize
    at_once = (MAX_DATAGRAM - HEADER.size) // width
    if not at_once:
        return []
    return [
        Datagram(datagram.kind, datagram.boot, datagram.first + start, datagram.records[start : start + at_once])
        for start in range(0, len(datagram.records), at_once)
    ]
