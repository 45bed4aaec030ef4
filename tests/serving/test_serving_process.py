"""The server as a process: it starts only what it proved, answers only what it can in time, and stops without a loss."""

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import misbehaving
import numpy as np
import pytest
from misbehaving import MILLISECONDS, Misbehaving
from penstock_serving import contract
from penstock_serving.explain.limits import Limits
from penstock_serving.model.digest import tree_digest
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.main import main

INFER = "/v2/models/fraud/infer"
TOKEN = "s3cret"


def row(value: float) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [value, 1.0]}]}


@pytest.fixture(scope="module")
def pack_unruly(pack: Callable[..., Any]) -> Callable[[], Any]:
    """A package of the misbehaving estimator."""
    frame = {"a": np.linspace(-3, 3, 20), "b": np.ones(20)}
    return lambda: pack(Misbehaving().fit(np.column_stack(list(frame.values())), None), frame)


@pytest.fixture(scope="module")
def unruly(
    pack_unruly: Callable[[], Any], serving: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The misbehaving estimator, served with room for four requests and a token for the metrics."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN + "\n")
    extra = {contract.ENV_MAX_IN_FLIGHT: "4", contract.ENV_METRICS_TOKEN_FILE: str(token)}
    with serving(pack_unruly(), **extra) as served:
        yield served


def metric(served: Any, name: str) -> float:
    return served.metric(served.metrics_port, name, headers={"Authorization": f"Bearer {TOKEN}"})


def test_answers_over_the_wire_equal_scikit_learns(served_logistic: Any, talker: Callable[..., Any]) -> None:
    packaged = served_logistic.packaged
    X = np.column_stack(list(packaged.frame.values()))
    labels, scores = packaged.estimator.predict(X), packaged.estimator.predict_proba(X)
    with talker(served_logistic.port) as caller:
        for start in range(0, len(X), 8):
            rows = X[start : start + 8]
            status, _, answer = caller.post(
                INFER,
                {
                    "inputs": [
                        {"name": "input-0", "datatype": "FP64", "shape": list(rows.shape), "data": rows.tolist()}
                    ],
                    "outputs": [{"name": "predict"}, {"name": "predict_proba"}],
                },
            )
            assert status == 200
            assert answer["outputs"][0]["data"] == labels[start : start + 8].tolist()
            served = np.array(answer["outputs"][1]["data"]).reshape(-1, 2)
            np.testing.assert_allclose(served, scores[start : start + 8], rtol=0, atol=1e-12)


def room_for_files(status: str) -> int:
    """How many open files the kernel has room for in its table of a process's (proc(5), `status`)."""
    return int(next(line for line in status.splitlines() if line.startswith("FDSize:")).split()[1])


def test_there_is_room_for_every_connection_before_it_comes(served_logistic: Any) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert room_for_files(Path(f"/proc/{served_logistic.server.pid}/status").read_text()) >= min(
        HttpLimits().connections, most
    )


@pytest.mark.parametrize("most", [20, 64, 1000, 4096])
def test_there_is_room_for_no_more_connections_than_files_may_be_open(most: int) -> None:
    code = f"""
import os, resource
from pathlib import Path
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import make_room

resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))
before = os.listdir("/proc/self/fd")
make_room(HttpLimits())
assert os.listdir("/proc/self/fd") == before
print(Path("/proc/self/status").read_text())
"""
    status = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert most <= room_for_files(status) <= max(256, 2 * most)


def spoil_golden(directory: Path) -> None:
    golden = json.loads((directory / "golden.json").read_text())
    golden["response"]["outputs"][0]["data"][0] += 1.0
    (directory / "golden.json").write_text(json.dumps(golden))


@pytest.mark.parametrize(
    ("case", "reason", "words"),
    [
        ("tampered", "DigestMismatch", "have the digest"),
        ("not fetched", "ModelNotFound", "was it fetched?"),
        ("not pinned", "DigestNotPinned", "penstock digest DIR"),
        ("other answers", "SelfTestFailed", "output 'predict' has other values"),
        ("no name", "Misconfigured", "PENSTOCK_MODEL_NAME is not set"),
        ("bad number", "Misconfigured", "PENSTOCK_MAX_IN_FLIGHT='many' is no whole number"),
        ("bad seconds", "Misconfigured", "PENSTOCK_DRAIN_SECONDS='-1' is no number of seconds"),
        ("no token", "Misconfigured", "PENSTOCK_METRICS_TOKEN_FILE='/nothing'"),
        ("port taken", "Misconfigured", "name another port in PENSTOCK_SERVING_PORT"),
        ("metrics port taken", "Misconfigured", "name another port in PENSTOCK_SERVING_METRICS_PORT"),
        ("grpc port taken", "Misconfigured", "name another port in PENSTOCK_GRPC_PORT"),
    ],
)
def test_what_cannot_be_served_ends_with_a_reason(
    case: str,
    reason: str,
    words: str,
    pack_unruly: Callable[[], Any],
    make_served: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packaged = pack_unruly()
    served = make_served(packaged)
    changes = {}
    with socket.socket() as taken:
        match case:
            case "tampered":
                (packaged.directory / "model.joblib").write_bytes(b"x")
            case "not fetched":
                packaged.directory.rename(packaged.root / "elsewhere")
            case "not pinned":
                changes[contract.ENV_MODEL_DIGEST] = "latest"
            case "other answers":
                spoil_golden(packaged.directory)
                changes[contract.ENV_MODEL_DIGEST] = tree_digest(packaged.directory)
                packaged.directory.rename(packaged.root / changes[contract.ENV_MODEL_DIGEST].replace(":", "-"))
            case "no name":
                changes[contract.ENV_MODEL_NAME] = ""
            case "bad number":
                changes[contract.ENV_MAX_IN_FLIGHT] = "many"
            case "bad seconds":
                changes[contract.ENV_DRAIN_SECONDS] = "-1"
            case "no token":
                changes[contract.ENV_METRICS_TOKEN_FILE] = "/nothing"
            case "port taken" | "metrics port taken":
                taken.bind(("127.0.0.1", served.port if case == "port taken" else served.metrics_port))
                taken.listen()
            case "grpc port taken":
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                changes[contract.ENV_GRPC_PORT] = str(taken.getsockname()[1])
        for name, value in (served.environment() | changes).items():
            monkeypatch.setenv(name, value)
        code = main(0.0)
    said = json.loads(served.termination_log.read_text())
    assert (code, said["reason"], said["kind"]) == (78, reason, "BadInput")
    assert words in said["message"]


@pytest.mark.parametrize(
    ("value", "status", "mark", "words"),
    [
        (misbehaving.KEY_ERROR, 500, None, "the model failed (KeyError)"),
        (misbehaving.VALUE_ERROR, 400, "1", "the model does not take this input (model_refused)"),
        (misbehaving.NOT_FINITE, 500, None, "the model returned a value that is not finite in output 'predict'"),
    ],
)
def test_a_model_that_goes_wrong_fails_that_request_alone(
    value: float, status: int, mark: str | None, words: str, unruly: Any
) -> None:
    answer = httpx.post(unruly.url + INFER, json=row(value))
    assert (answer.status_code, answer.headers.get("x-penstock-refused")) == (status, mark)
    assert answer.json() == {"error": words}
    assert httpx.post(unruly.url + INFER, json=row(1)).json()["outputs"][0]["data"] == [2.0]
    assert str(value) not in unruly.log()


def test_the_log_says_where_a_model_failed_but_not_for_every_request(unruly: Any) -> None:
    said = unruly.log().count("prediction failed")
    for _ in range(30):
        assert httpx.post(unruly.url + INFER, json=row(misbehaving.KEY_ERROR)).status_code == 500
    assert said < unruly.log().count("prediction failed") < said + 15
    assert "in predict" in unruly.log()


def test_beyond_the_limit_requests_are_turned_away_at_once(unruly: Any) -> None:
    before = metric(unruly, contract.METRIC_SATURATED)
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: httpx.post(unruly.url + INFER, json=row(MILLISECONDS + 600), timeout=30), range(16))
        )
    turned_away = [answer for answer in answers if answer.status_code == 429]
    assert len(turned_away) + sum(answer.status_code == 200 for answer in answers) == 16
    assert 0 < len(turned_away) <= 12
    for answer in turned_away:
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-penstock-saturated"] == "1"
        assert "x-penstock-refused" not in answer.headers
    assert metric(unruly, contract.METRIC_SATURATED) == before + len(turned_away)
    assert httpx.post(unruly.url + INFER, json=row(1)).status_code == 200


def test_the_event_loop_answers_while_the_model_computes(unruly: Any) -> None:
    with ThreadPoolExecutor(1) as pool, httpx.Client() as client:
        slow = pool.submit(httpx.post, unruly.url + INFER, json=row(MILLISECONDS + 1500), timeout=30)
        asked = 0
        while not slow.done():
            assert client.get(unruly.url + contract.PATH_LIVE).status_code == 200
            asked += 1
        assert slow.result().status_code == 200
        assert asked > 10


def test_what_is_late_is_504_and_what_was_not_begun_is_never_computed(unruly: Any, wait: Callable[..., Any]) -> None:
    impatient = {contract.HEADER_EXPECTED_TIMEOUT: "100"}
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(httpx.post, unruly.url + INFER, json=row(MILLISECONDS + 3000), timeout=30)
        wait(lambda: metric(unruly, contract.METRIC_IN_FLIGHT) == 1)
        an_hour = row(MILLISECONDS + 3_600_000)
        later = [
            pool.submit(httpx.post, unruly.url + INFER, json=an_hour, headers=impatient, timeout=30) for _ in range(3)
        ]
        assert [answer.result().status_code for answer in later] == [504] * 3
        assert first.result().status_code == 200
    assert httpx.post(unruly.url + INFER, json=row(1), timeout=5).status_code == 200
    assert metric(unruly, contract.METRIC_IN_FLIGHT) == 0


def test_metrics_need_the_token(unruly: Any) -> None:
    url = f"http://127.0.0.1:{unruly.metrics_port}/metrics"
    for value, status in (("", 401), ("Bearer wrong", 401), (TOKEN, 401), (f"Bearer {TOKEN}", 200)):
        assert httpx.get(url, headers={"Authorization": value}).status_code == status


def test_a_model_that_kills_its_process_ends_the_container(
    pack_unruly: Callable[[], Any], serving: Callable[..., Any]
) -> None:
    with serving(pack_unruly()) as served:
        with pytest.raises(httpx.HTTPError):
            httpx.post(served.url + INFER, json=row(misbehaving.SEGFAULT))
        assert served.server.wait(10) == -signal.SIGSEGV


def test_a_model_that_hangs_is_not_taken_for_a_busy_one(
    pack_unruly: Callable[[], Any], serving: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    """Stuck: predictions are 503 without the mark of saturation, and the probes fail, so that it is restarted."""
    with serving(pack_unruly(), **{contract.ENV_PREDICT_TIMEOUT_SECONDS: "0.5"}) as served:
        assert httpx.post(served.url + INFER, json=row(misbehaving.HANG)).status_code == 504
        wait(lambda: httpx.get(served.url + contract.PATH_LIVE).status_code == 503)
        assert httpx.get(served.url + contract.PATH_READY).status_code == 503
        answer = httpx.post(served.url + INFER, json=row(1))
        assert answer.status_code == 503
        assert "x-penstock-saturated" not in answer.headers


@pytest.fixture
def hammering() -> Iterator[Callable[[Any, threading.Event], list[Any]]]:
    """Callers who keep one connection each until told to stop; the list fills with what they got."""
    threads: list[threading.Thread] = []
    results: list[Any] = []

    def caller(served: Any, stop: threading.Event) -> None:
        with httpx.Client(timeout=30) as client:
            while not stop.is_set():
                try:
                    results.append(client.post(served.url + INFER, json=row(1)).status_code)
                except httpx.HTTPError as error:
                    results.append(repr(error))

    def start(served: Any, stop: threading.Event) -> list[Any]:
        threads.extend(threading.Thread(target=caller, args=(served, stop)) for _ in range(4))
        for thread in threads:
            thread.start()
        return results

    yield start
    for thread in threads:
        thread.join()


def test_stopping_loses_no_request(
    pack_unruly: Callable[[], Any],
    serving: Callable[..., Any],
    hammering: Callable[[Any, threading.Event], list[Any]],
    wait: Callable[..., Any],
) -> None:
    """It is not ready at once, but answers until no more arrive, and what it began is finished."""
    stop = threading.Event()
    with serving(pack_unruly()) as served, ThreadPoolExecutor(1) as pool:
        results = hammering(served, stop)
        wait(lambda: len(results) > 20)
        slow = pool.submit(httpx.post, served.url + INFER, json=row(MILLISECONDS + 1500), timeout=30)
        wait(lambda: served.metric(served.metrics_port, contract.METRIC_IN_FLIGHT) >= 1)
        served.server.send_signal(signal.SIGTERM)
        wait(lambda: httpx.get(served.url + contract.PATH_READY).status_code == 503)
        before = len(results)
        wait(lambda: len(results) > before + 20)
        stop.set()
        assert slow.result().status_code == 200
        assert slow.result().headers["connection"] == "close"
        assert served.server.wait(30) == 0
    assert set(results) == {200}


def test_questions_keep_apart_however_short_the_predictions_beside_them_are(
    served_logistic: Any, talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    """Of predictions that take microseconds hardly one is under way at any moment, and yet they are."""
    X = np.column_stack(list(served_logistic.packaged.frame.values()))
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, X.shape[1]], "data": X[0].tolist()}
    request, ended = {"inputs": [tensor]}, threading.Event()

    def predict() -> None:
        with talker(served_logistic.port) as caller:
            while not ended.is_set():
                assert caller.post(INFER, request)[0] == 200

    def explain() -> int:
        with talker(served_logistic.port) as caller:
            return sum(caller.post("/v2/models/fraud/explain", request)[0] == 200 for _ in range(60))

    with talker(served_logistic.port) as caller, ThreadPoolExecutor(1) as pool:
        wait(lambda: caller.post("/v2/models/fraud/explain", request)[0] == 200, 120)
        predicting = pool.submit(predict)
        try:
            wait(lambda: served_logistic.metric(served_logistic.metrics_port, contract.METRIC_ROWS) > 100)
            began = time.monotonic()
            explained = explain()
            spent = time.monotonic() - began
        finally:
            ended.set()
        predicting.result()
    assert explained == 60
    assert spent > (explained - 1) * Limits().apart_seconds


def test_who_hung_up_is_not_waited_for_when_stopping(
    pack_unruly: Callable[[], Any], serving: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    """Nor those whose requests were queued: what nobody waits for is not computed, and is not open."""
    with serving(pack_unruly()) as served, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(httpx.post, served.url + INFER, json=row(MILLISECONDS + 1500), timeout=30)
        wait(lambda: served.metric(served.metrics_port, contract.METRIC_IN_FLIGHT) == 1)
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(served.url + INFER, json=row(1), timeout=0.1)
        assert slow.result().status_code == 200
        wait(lambda: served.metric(served.metrics_port, contract.METRIC_IN_FLIGHT) == 0)
        served.server.send_signal(signal.SIGTERM)
        # it drains for 20 seconds where something is open
        assert served.server.wait(15) == 0


def test_explanations_add_up_over_the_wire(
    served_logistic: Any, talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    packaged = served_logistic.packaged
    X = np.column_stack(list(packaged.frame.values()))[:3]
    request = {"inputs": [{"name": "x", "datatype": "FP64", "shape": list(X.shape), "data": X.tolist()}]}
    with talker(served_logistic.port) as caller:
        # The explaining process starts with the first question, at idle priority: on a busy machine not in its time.
        wait(lambda: caller.post("/v2/models/fraud/explain", request)[0] == 200, 120)
        status, headers, answer = caller.post("/v2/models/fraud/explain", request)
        assert (status, headers["x-penstock-digest"]) == (200, packaged.digest)
        found = {output["name"]: output["data"] for output in answer["outputs"]}
        margins = np.array(found["contributions"]).reshape(X.shape).sum(axis=1) + found["base_values"][0]
        np.testing.assert_allclose(margins, packaged.estimator.decision_function(X), rtol=1e-9)
        status, _, answer = caller.post("/v1/models/fraud:explain", {"instances": X.tolist()})
        assert (status, np.shape(answer["explanations"]["contributions"])) == (200, X.shape)
        assert caller.post("/v2/models/fraud/explain", {"inputs": []})[0] == 400
    assert served_logistic.metric(served_logistic.metrics_port, contract.METRIC_REQUESTS, route="explain") >= 4
