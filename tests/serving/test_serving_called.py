"""A server whose lane calls the model in Python: it is called as Python calls it, and what goes wrong there stays there."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import misbehaving
import numpy as np
import particular
import pytest
from misbehaving import Misbehaving
from particular import Particular
from penstock_serving import contract

pytest.importorskip("penstock_lane", reason="build and install serving/native (`make native`)")

INFER = "/v2/models/fraud/infer"
MODELS = Path(__file__).parent / "models"
FRAME = {"a": np.linspace(-3, 3, 20), "b": np.ones(20)}


def row(value: float, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [value, 1.0]}], **more}


def in_python(value: float) -> dict[str, Any]:
    """A request that the lane leaves to Python."""
    return row(value, outputs=[{"name": "predict"}])


@pytest.fixture(scope="module")
def misbehaves(pack: Callable[..., Any]) -> Any:
    return pack(Misbehaving().fit(None, None), FRAME)


@pytest.fixture(scope="module")
def is_particular(pack: Callable[..., Any]) -> Any:
    return pack(Particular().fit(None, None), FRAME)


@pytest.fixture(scope="module")
def unruly(misbehaves: Any, serving: Callable[..., Any]) -> Iterator[Any]:
    with serving(misbehaves) as served:
        assert "natively but for the model on" in served.log()
        yield served


def test_beside_requests_that_make_the_model_fail_all_others_are_answered(
    unruly: Any, wait: Callable[..., Any]
) -> None:
    wrong = {misbehaving.KEY_ERROR: 500, misbehaving.VALUE_ERROR: 400, misbehaving.NOT_FINITE: 500}
    counted: dict[int, int] = {200: 0, 400: 0, 500: 0}
    lock = threading.Lock()

    def call(seed: int) -> None:
        chance = np.random.default_rng(seed)
        with httpx.Client(base_url=unruly.url, timeout=60) as client:
            for number in range(60):
                value = float(chance.choice(list(wrong))) if number % 6 == 5 else float(chance.integers(0, 999))
                answer = client.post(INFER, json=row(value, id=f"{seed}-{number}"))
                status = wrong.get(value, 200)
                assert answer.status_code == status
                if status == 200:
                    assert answer.json()["outputs"][0]["data"] == [value + 1]
                    assert answer.json()["id"] == f"{seed}-{number}"
                with lock:
                    counted[status] += 1

    def count(status: int) -> float:
        code = str(status)
        return float(unruly.metric(unruly.metrics_port, contract.METRIC_REQUESTS, route="infer", code=code))

    before = {status: count(status) for status in counted}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    for status, number in counted.items():
        wait(lambda status=status, number=number: count(status) - before[status] == number)
    log = unruly.log()
    assert not any(str(value) in log for value in wrong)
    assert "panicked" not in log


def test_callers_who_give_up_before_they_are_begun_are_never_computed(unruly: Any, wait: Callable[..., Any]) -> None:
    an_hour = row(misbehaving.MILLISECONDS + 3_600_000)
    with ThreadPoolExecutor(4) as pool:
        slow = row(misbehaving.MILLISECONDS + 1500)
        first = pool.submit(httpx.post, unruly.url + INFER, json=slow, timeout=30)
        wait(lambda: unruly.metric(unruly.metrics_port, contract.METRIC_IN_FLIGHT) == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(unruly.url + INFER, json=an_hour, timeout=0.2)
        late = httpx.post(
            unruly.url + INFER, json=an_hour, timeout=30, headers={contract.HEADER_EXPECTED_TIMEOUT: "200"}
        )
        assert late.status_code == 504
        assert first.result().status_code == 200
    assert httpx.post(unruly.url + INFER, json=row(1), timeout=5).json()["outputs"][0]["data"] == [2.0]


def test_what_the_lane_leaves_to_python_has_its_time_counted_on(unruly: Any) -> None:
    """The model takes half a second, and answers what only Python can refuse; which asks it again."""
    values = [misbehaving.MILLISECONDS + 500, 1.0, misbehaving.NOT_FINITE, 1.0]
    asked = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 2], "data": values}]}
    headers = {contract.HEADER_EXPECTED_TIMEOUT: "700"}
    assert httpx.post(unruly.url + INFER, json=asked, timeout=30, headers=headers).status_code == 504
    assert httpx.post(unruly.url + INFER, json=asked, timeout=30).status_code == 500


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_model_is_called_as_by_pythons_own_threads(
    threads: str, is_particular: Any, serving: Callable[..., Any]
) -> None:
    with serving(is_particular, **{contract.ENV_PREDICT_THREADS: threads}) as served:
        assert "natively but for the model on" in served.log()
        with httpx.Client(base_url=served.url) as client:
            for request, by_lane in ((row, 1.0), (in_python, 0.0)):
                answer = client.post(INFER, json=request(particular.BY_LANE))
                assert answer.json()["outputs"][0]["data"] == [by_lane]
            # the connection is Python's for a moment
            time.sleep(1.5)
            asked = [client.post(INFER, json=row(particular.CALLS)) for _ in range(20)]
            found = [answer.json()["outputs"][0]["data"][0] for answer in asked]
            if threads == "1":
                # what a thread has of its own stays: each call finds what the last one left
                assert found == list(range(int(found[0]), int(found[0]) + 20))
            for _ in range(20):
                assert client.post(INFER, json=row(particular.WARNS)).status_code == 200
    log = served.log()
    assert log.count(particular.COMPLAINT) <= 2  # the warning, and the line that raised it
    assert log.count("divide by zero") <= 1


def test_the_lane_and_python_call_the_model_in_turns(is_particular: Any, serving: Callable[..., Any]) -> None:
    """With one thread for predictions the model is never called by two at once, whichever way requests come."""
    answered = {"lane": 0, "Python": 0}
    stop = threading.Event()

    def call(way: str, request: Callable[[float], dict[str, Any]], served: Any) -> None:
        with httpx.Client(base_url=served.url, timeout=30) as client:
            while not stop.is_set():
                answer = client.post(INFER, json=request(3.0))
                assert answer.status_code == 200, answer.text
                answered[way] += 1

    with serving(is_particular) as served, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, "lane", row, served) for _ in range(4)]
        calls += [pool.submit(call, "Python", in_python, served) for _ in range(4)]
        time.sleep(3)
        stop.set()
        for one in calls:
            one.result()
    # each has its turn
    assert min(answered.values()) > max(answered.values()) / 4


@pytest.fixture
def without_lane(tmp_path: Path) -> str:
    """The environment's path by which the native module cannot be imported."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "penstock_lane.py").write_text("raise ImportError\n")
    return f"{tmp_path / 'broken'}:{MODELS}"


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("way", ["natively but for the model on", "in Python (penstock_lane cannot be imported: ) on"])
def test_a_server_whose_model_hangs_ends_when_it_is_stopped(
    way: str,
    workers: str,
    misbehaves: Any,
    make_served: Callable[..., Any],
    without_lane: str,
    wait: Callable[..., Any],
) -> None:
    """With what hangs still waited for, it ends when the time for draining is over, whichever way the model was called."""
    changes = {contract.ENV_DRAIN_SECONDS: "4", contract.ENV_WORKERS: workers}
    if "in Python" in way:
        changes["PYTHONPATH"] = without_lane
    served = make_served(misbehaves, **changes)
    served.start_server()
    assert way in served.log()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(httpx.post, served.url + INFER, json=row(misbehaving.HANG), timeout=60)
        wait(lambda: served.metric(served.metrics_port, contract.METRIC_IN_FLIGHT) == 1)
        began = time.monotonic()
        served.server.send_signal(signal.SIGTERM)
        assert served.server.wait(30) == 0
        assert 3.5 < time.monotonic() - began < 12
        with pytest.raises(httpx.HTTPError):
            hanging.result()
    log = served.log()
    assert "Traceback" not in log
    assert "panicked" not in log
    assert "Fatal" not in log


def test_a_stuck_server_is_as_stuck_whichever_way_it_is_asked(
    misbehaves: Any, serving: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    with serving(misbehaves, **{contract.ENV_PREDICT_TIMEOUT_SECONDS: "1"}) as served:
        assert httpx.post(served.url + INFER, json=in_python(misbehaving.HANG)).status_code == 504
        wait(lambda: httpx.get(served.url + contract.PATH_LIVE).status_code == 503)
        for request in (row(1.0), in_python(1.0)):
            # the lane waits for its turn and nobody waits for the lane any longer than for Python
            assert httpx.post(served.url + INFER, json=request, timeout=20).status_code in {503, 504}
        wait(lambda: httpx.post(served.url + INFER, json=row(1.0), timeout=20).status_code == 503)


def test_calls_that_are_slow_one_after_the_other_are_not_taken_for_one_that_hangs(
    misbehaves: Any, serving: Callable[..., Any]
) -> None:
    """Many requests in the queue, each of which takes less than the timeout."""
    with serving(misbehaves, **{contract.ENV_PREDICT_TIMEOUT_SECONDS: "1.5"}) as served, ThreadPoolExecutor(4) as pool:
        slow = [
            pool.submit(httpx.post, served.url + INFER, json=make(misbehaving.MILLISECONDS + 700), timeout=30)
            for make in (row, in_python, row, in_python)
        ]
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not all(one.done() for one in slow):
            assert httpx.get(served.url + contract.PATH_LIVE).status_code == 200
            time.sleep(0.02)
        assert {one.result().status_code for one in slow} <= {200, 504}


def test_an_answer_of_the_lane_is_pythons_byte_for_byte(unruly: Any) -> None:
    with httpx.Client(base_url=unruly.url) as client:
        for value in (0.1, -7.25, -1e15, 1e-7):
            request = json.dumps(row(value, id="7")).encode()
            native = client.post(INFER, content=request)
            # a connection that is to be closed is Python's
            other = client.post(INFER, content=request, headers={"connection": "close"})
            assert (native.status_code, native.content) == (other.status_code, other.content) == (200, other.content)
