"""A server that answers natively: the log says so, every answer is right whichever way it went, and every count is exact."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from penstock_serving import contract
from penstock_serving.model.frame import matrix

from tests.serving.packages import uncompiled

pytest.importorskip("penstock_lane", reason="build and install serving/native (`make native`)")

INFER = "/v2/models/fraud/infer"
CALLERS, EACH = 8, 60
MODELS = Path(__file__).parent / "models"


@pytest.fixture(scope="module")
def packages(logistic: Any) -> dict[str, Any]:
    """One model by the log's word for how it is served: compiled, and not."""
    return {"natively on": logistic, "natively but for the model on": uncompiled(logistic)}


class Asked:
    """One request: its body, the status it is to get, its rows and id."""

    def __init__(self, body: bytes, status: int, rows: np.ndarray, request_id: str = "") -> None:
        self.body, self.status, self.rows, self.request_id = body, status, rows, request_id


def table(rows: np.ndarray, **more: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP64", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return {"inputs": [tensor], **more}


def named(frame: dict[str, np.ndarray], rows: np.ndarray, shape: list[int], **more: Any) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": "FP64", "shape": shape, "data": rows[:, at].tolist()}
        for at, name in enumerate(frame)
    ]
    return {"inputs": inputs, **more}


def requests(packaged: Any, seed: int) -> Iterator[Asked]:
    """Ordinary requests, unusual ones and wrong ones, in turn."""
    rng = np.random.default_rng(seed)
    frame, X = packaged.frame, matrix(packaged.frame)
    for number in range(EACH):
        rows = X[rng.integers(0, len(X), rng.integers(1, 12))]
        one, request_id = rows[:1], f"{seed}-{number}"
        match number % 8:
            case 0 | 1 | 2:
                yield Asked(json.dumps(named(frame, one, [1], id=request_id)).encode(), 200, one, request_id)
            case 3 | 4:
                yield Asked(json.dumps(table(rows, id=request_id)).encode(), 200, rows, request_id)
            case 5:
                # of several rows by name, with an id that JSON escapes
                document = named(frame, rows, [len(rows), 1], id="ü" + request_id, outputs=[{"name": "predict"}])
                yield Asked(json.dumps(document).encode(), 200, rows, "ü" + request_id)
            case 6:
                yield Asked(json.dumps(table(rows[:, :-1])).encode(), 400, rows[:0])
            case _:
                yield Asked(json.dumps(table(rows)).encode()[:-1], 400, rows[:0])


def hold(served: Any, seeds: range) -> tuple[int, int, int]:
    """Ask over many connections at once and check every answer; how many answers, rows and refusals that were."""
    packaged = served.packaged
    counts = [0, 0, 0]
    lock = threading.Lock()

    def call(seed: int) -> None:
        with httpx.Client(base_url=served.url, timeout=60) as client:
            for asked in requests(packaged, seed):
                answer = client.post(INFER, content=asked.body)
                assert answer.status_code == asked.status, answer.text
                refused = "x-penstock-refused" in answer.headers
                with lock:
                    counts[0] += asked.status == 200
                    counts[1] += len(asked.rows)
                    counts[2] += refused
                if asked.status != 200:
                    continue
                document = answer.json()
                output = document["outputs"][0]
                assert document.get("id", "") == asked.request_id
                assert document["parameters"] == {"digest": packaged.digest, "revision": "fraud-1"}
                assert (output["name"], output["shape"]) == ("predict", [len(asked.rows)])
                assert output["data"] == packaged.estimator.predict(asked.rows).tolist()

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, seeds))
    return counts[0], counts[1], counts[2]


def check_counts(served: Any, asked: tuple[int, int, int], wait: Callable[..., Any]) -> None:
    answers, rows, refusals = asked
    # a worker tells the others what it has counted a moment later
    wait(lambda: served.metric(served.metrics_port, contract.METRIC_REQUESTS, route="infer", code="200") == answers)
    assert served.metric(served.metrics_port, contract.METRIC_REQUESTS, route="infer") == CALLERS * EACH
    assert served.metric(served.metrics_port, contract.METRIC_ROWS) == rows
    assert served.metric(served.metrics_port, contract.METRIC_REFUSED) == refusals
    assert served.metric(served.metrics_port, contract.METRIC_IN_FLIGHT) == 0
    found = httpx.get(f"{served.url}/v2/models/fraud/stats").json()["model_stats"][0]
    assert found["inference_count"] == rows
    assert found["inference_stats"]["success"]["count"] == answers
    sent = contract.METRIC_FEED_RECORDS
    wait(lambda: served.metric(served.metrics_port, sent, outcome="sent") == rows + refusals)
    assert served.metric(served.metrics_port, sent, outcome="dropped") == 0
    counted = contract.METRIC_MONITOR_RECORDS
    wait(lambda: served.metric(served.monitor_port, counted, kind="row") == rows)
    wait(lambda: served.metric(served.monitor_port, counted, kind="refusal") == refusals)
    assert served.metric(served.monitor_port, contract.METRIC_MONITOR_LOST) == 0
    assert served.metric(served.monitor_port, contract.METRIC_PREDICTION_CLASS) == rows


@pytest.mark.parametrize("way", ["natively on", "natively but for the model on"])
@pytest.mark.parametrize("changes", [{}, {contract.ENV_WORKERS: "2"}, {contract.ENV_PREDICT_THREADS: "3"}], ids=str)
def test_ordinary_and_unusual_requests_are_answered_rightly_and_counted_once(
    way: str,
    changes: dict[str, str],
    packages: dict[str, Any],
    make_served: Callable[..., Any],
    wait: Callable[..., Any],
) -> None:
    served = make_served(packages[way], **changes)
    served.start_monitor()
    served.start_server()
    assert way in served.log()
    check_counts(served, hold(served, range(CALLERS)), wait)
    served.server.terminate()
    assert served.server.wait(60) == 0


def test_without_the_module_it_says_why_and_answers_the_same(
    logistic: Any, make_served: Callable[..., Any], tmp_path: Path, wait: Callable[..., Any]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "penstock_lane.py").write_text('raise ImportError("built for another machine")\n')
    served = make_served(logistic, PYTHONPATH=f"{tmp_path / 'broken'}:{MODELS}")
    served.start_monitor()
    served.start_server()
    assert "serving by onnx in Python (penstock_lane cannot be imported: built for another machine) on" in served.log()
    check_counts(served, hold(served, range(CALLERS)), wait)


def test_a_model_that_scikit_learn_serves_needs_no_onnx_runtime(
    packages: dict[str, Any], make_served: Callable[..., Any], talker: Callable[[int], Any]
) -> None:
    packaged = packages["natively but for the model on"]
    served = make_served(packaged)
    served.start_server()
    assert "serving by scikit-learn (" in served.log()
    assert ") natively but for the model on" in served.log()
    with talker(served.port) as caller:
        assert caller.post(INFER, table(matrix(packaged.frame)[:3]))[0] == 200
    maps = Path(f"/proc/{served.server.pid}/maps").read_text()
    assert "penstock_lane" in maps
    assert "onnxruntime" not in maps


@pytest.mark.parametrize("way", ["natively on", "natively but for the model on"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_stopping_loses_no_request_of_the_lane(
    way: str,
    workers: str,
    packages: dict[str, Any],
    make_served: Callable[..., Any],
    wait: Callable[..., Any],
) -> None:
    served = make_served(packages[way], **{contract.ENV_WORKERS: workers})
    served.start_server()
    body = json.dumps(table(matrix(packages[way].frame)[:3])).encode()
    stop = threading.Event()
    results: list[Any] = []

    def call() -> None:
        with httpx.Client(base_url=served.url, timeout=30) as client:
            while not stop.is_set():
                try:
                    results.append(client.post(INFER, content=body).status_code)
                except httpx.HTTPError as error:
                    results.append(repr(error))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait(lambda: len(results) > 50)
        served.server.send_signal(signal.SIGTERM)
        before = len(results)
        wait(lambda: len(results) > before + 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert served.server.wait(30) == 0
    assert set(results) == {200}
