"""Runs in a pod: sends real rows to the model at a steady rate and prints, four times a second, what came back."""

import http.client
import json
import sys
import threading
import time
from collections import Counter
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


def send(host: str, path: str, bodies: list[str], start: float, every: float, tally: Tally) -> None:
    """One request every so many seconds, whatever the answers take."""
    connection = http.client.HTTPConnection(host, 80, timeout=PATIENCE_SECONDS)
    turn = 0
    while True:
        due = start + turn * every
        time.sleep(max(0.0, due - time.monotonic()))
        tally.count(call(connection, path, bodies[(turn * THREADS + int(start * 1e6)) % len(bodies)]))
        turn += 1


def main(host: str, model: str, rate: str, rows: str) -> None:
    """Call `host` for `model` at `rate` requests a second."""
    bodies = Path(rows).read_text().splitlines()
    tally, every, start = Tally(), THREADS / float(rate), time.monotonic()
    for thread in range(THREADS):
        mine = bodies[thread:] + bodies[:thread]
        arguments = (host, f"/v2/models/{model}/infer", mine, start + thread * every / THREADS, every, tally)
        threading.Thread(target=send, args=arguments, daemon=True).start()
    while True:
        time.sleep(EVERY_SECONDS)
        print(json.dumps({"t": time.time(), "answers": tally.taken()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
