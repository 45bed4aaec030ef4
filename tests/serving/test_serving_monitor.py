"""Server and monitor together: the monitor sees everything or says what not, and can fail in any way unnoticed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from penstock_serving import contract

INFER = "/v2/models/fraud/infer"
CALLERS = 3


@pytest.fixture(scope="module")
def pod(logistic: Any, serving: Callable[..., Any]) -> Iterator[Any]:
    """A model server with its monitor beside it."""
    with serving(logistic) as served:
        served.start_monitor()
        yield served


class Load:
    """Callers who send rows of the frame, some of them with a missing column, and count what they got."""

    def __init__(self, served: Any, talker: Callable[..., Any]) -> None:
        self._served, self._talker = served, talker
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        self.rows = self.refused = 0
        self.failures: list[Any] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return self.rows + self.refused

    def _call(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        frame = self._served.packaged.frame
        X = np.column_stack(list(frame.values()))
        with self._talker(self._served.port) as caller:
            while not self._stop.is_set():
                rows = X[rng.integers(0, len(X), rng.integers(1, 30))]
                width = rows.shape[1] - int(rng.random() < 0.1)
                document = {
                    "inputs": [
                        {"name": "x", "datatype": "FP64", "shape": [len(rows), width], "data": rows[:, :width].tolist()}
                    ]
                }
                status, _, answer = caller.post(INFER, document)
                with self._lock:
                    if status == 200 and len(answer["outputs"][0]["data"]) == len(rows):
                        self.rows += len(rows)
                    elif status == 400 and width < rows.shape[1]:
                        self.refused += 1
                    else:
                        self.failures.append(answer)


class Totals:
    """The monitor's totals, and the server's, at one moment."""

    def __init__(self, served: Any) -> None:
        def monitor(name: str, **labels: str) -> int:
            return int(served.metric(served.monitor_port, name, **labels))

        self.rows = monitor(contract.METRIC_MONITOR_RECORDS, kind="row")
        self.refusals = monitor(contract.METRIC_MONITOR_RECORDS, kind="refusal")
        self.lost = monitor(contract.METRIC_MONITOR_LOST)
        self.malformed = monitor(contract.METRIC_MONITOR_MALFORMED)
        self.restarts = monitor(contract.METRIC_MONITOR_RESTARTS)
        self.predictions = monitor(contract.METRIC_PREDICTION_CLASS)
        self.values = monitor(contract.METRIC_FEATURE_VALUE + "_bucket", feature="mean radius", le="+Inf")
        self.violations = monitor(contract.METRIC_SCHEMA_VIOLATIONS, rule="column_count")
        self.dropped = int(served.metric(served.metrics_port, contract.METRIC_FEED_RECORDS, outcome="dropped"))

    @property
    def accounted(self) -> int:
        return self.rows + self.refusals + self.lost


def reads(served: Any) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{served.monitor_port}{contract.PATH_METRICS}").status_code == 200
    except httpx.HTTPError:
        return False


def settled(served: Any, wait: Callable[..., Any], expected: int) -> Totals:
    """The totals when the monitor has accounted for that many records."""
    wait(lambda: reads(served) and Totals(served).accounted >= expected)
    return Totals(served)


def test_under_load_nothing_is_lost_uncounted(pod: Any, talker: Callable[..., Any], wait: Callable[..., Any]) -> None:
    before = Totals(pod)
    with Load(pod, talker) as load:
        wait(lambda: load.answered > 3000)
    after = settled(pod, wait, before.accounted + load.answered)
    assert load.failures == []
    assert after.accounted - before.accounted == load.answered
    assert after.lost == before.lost
    assert after.rows - before.rows == load.rows
    assert after.predictions - before.predictions == load.rows
    assert after.values - before.values == load.rows
    assert after.refusals - before.refusals == after.violations - before.violations == load.refused
    assert after.malformed == before.malformed


def test_killing_the_counting_process_fails_no_prediction_and_loses_nothing_uncounted(
    pod: Any, talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    before = Totals(pod)
    with Load(pod, talker) as load:
        for _ in range(4):
            answered = load.answered
            os.kill(wait(pod.counting_process), signal.SIGKILL)
            wait(lambda answered=answered: load.answered > answered + 100)
            wait(lambda: reads(pod))
    after = settled(pod, wait, before.accounted + load.answered)
    assert load.failures == []
    assert after.restarts - before.restarts == 4
    assert after.accounted - before.accounted == load.answered
    assert after.predictions - before.predictions == after.rows - before.rows == after.values - before.values
    assert after.rows + after.refusals - before.rows - before.refusals >= load.answered * 0.5


def test_a_hanging_monitor_slows_nothing_and_its_losses_are_counted(
    pod: Any, talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    before = Totals(pod)
    counting = wait(pod.counting_process)
    os.kill(counting, signal.SIGSTOP)
    try:
        with Load(pod, talker) as load:
            wait(lambda: load.answered > 2000)
    finally:
        os.kill(counting, signal.SIGCONT)
    after = settled(pod, wait, before.accounted + load.answered)
    assert load.failures == []
    assert after.accounted - before.accounted == load.answered
    assert after.lost - before.lost == after.dropped - before.dropped


def test_without_a_monitor_predictions_go_on_and_drops_are_counted(
    pod: Any, talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    """The sidecar is gone altogether; when it is back the monitor knows how many records it missed."""
    pod.monitor.send_signal(signal.SIGTERM)
    assert pod.monitor.wait(10) == 0
    with Load(pod, talker) as load:
        wait(lambda: load.answered > 500)
    pod.start_monitor()
    numbered = 0
    for outcome in ("sent", "dropped"):
        numbered += int(pod.metric(pod.metrics_port, contract.METRIC_FEED_RECORDS, outcome=outcome))
    assert load.failures == []
    after = settled(pod, wait, numbered)
    assert after.lost >= load.answered * 0.9


def test_a_monitor_that_comes_while_nothing_is_asked_knows_what_came_before_it(
    pod: Any, talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    before = Totals(pod)
    with Load(pod, talker) as load:
        wait(lambda: load.answered > 200)
    settled(pod, wait, before.accounted + load.answered)
    numbered = sum(
        int(pod.metric(pod.metrics_port, contract.METRIC_FEED_RECORDS, outcome=outcome))
        for outcome in ("sent", "dropped")
    )
    pod.monitor.send_signal(signal.SIGTERM)
    assert pod.monitor.wait(10) == 0
    pod.start_monitor()
    after = settled(pod, wait, numbered)
    assert (after.rows, after.refusals, after.lost) == (0, 0, numbered)
