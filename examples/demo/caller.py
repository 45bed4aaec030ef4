"""Runs in a pod: sends real rows to the model at a steady rate and prints, four times a second, what came back.

On SIGTERM it sends no more, waits for the last answers and prints them too, so that its lines add up to all it sent.
"""

import http.client
import json
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

THREADS = 16
PATIENCE_SECONDS = 10.0
EVERY_SECONDS = 0.25


class Tally:
    """What was sent and what came back since the last line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, outcome: str) -> None:
        with self._lock:
            self._counts[outcome] += 1

    def taken(self) -> Counter[str]:
        with self._lock:
            counts, self._counts = self._counts, Counter()
            return counts


def call(connection: http.client.HTTPConnection, path: str, body: str) -> str:
    """The revision that answered, or what went wrong."""
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"failed: {type(error).__name__}"
    if answer.status != 200:
        return f"failed: {answer.status}"
    return answer.getheader("x-penstock-revision", "unknown")


@dataclass(frozen=True, slots=True)
class Sender:
    """One request every so many seconds to `path` of `host`, whatever the answers take."""

    host: str
    path: str
    bodies: list[str]
    every: float

    def send(self, first: float, tally: Tally, ended: threading.Event) -> None:
        """Send the bodies in turn from `first` (monotonic seconds) on, until it has ended."""
        connection = http.client.HTTPConnection(self.host, 80, timeout=PATIENCE_SECONDS)
        for turn, body in enumerate(cycle(self.bodies)):
            if ended.wait(max(0.0, first + turn * self.every - time.monotonic())):
                return
            tally.count(call(connection, self.path, body))


def main(host: str, model: str, rate: str, rows: str) -> None:
    """Call `host` for `model` at `rate` requests a second."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ended, tally, start = threading.Event(), Tally(), time.monotonic()
    bodies, every = Path(rows).read_text().splitlines(), THREADS / float(rate)
    threads = []
    for number in range(THREADS):
        own = bodies[number::THREADS]
        sender = Sender(host, f"/v2/models/{model}/infer", own, every)
        first = start + number * every / THREADS
        threads.append(threading.Thread(target=sender.send, args=(first, tally, ended), daemon=True))
        threads[-1].start()
    while signal.sigtimedwait({signal.SIGTERM}, EVERY_SECONDS) is None:
        tell(tally)
    ended.set()
    for thread in threads:
        thread.join()
    tell(tally)


def tell(tally: Tally) -> None:
    """Print what came back since the last line."""
    print(json.dumps({"t": time.time(), "answers": tally.taken()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
