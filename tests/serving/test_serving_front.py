"""The front: native code takes what is ordinary at the connection, and a caller cannot tell."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import numpy as np
import pytest
from penstock_serving import contract
from sklearn.ensemble import RandomForestClassifier

pytest.importorskip("penstock_lane", reason="the native lane is not built; `make install` builds it where Rust is")

PATH = "/v2/models/fraud/infer"
PARTS = (1, 40, 80, 140, 200, -3)


def ordinary(values: list[float], request_id: str = "") -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, len(values)], "data": values}
    return json.dumps(({"id": request_id} if request_id else {}) | {"inputs": [tensor]}).encode()


def post(body: bytes, *headers: str) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "host: a", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()


class Wire:
    """A connection on which bytes are sent as they are."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return status, headers, self._file.read(int(headers["content-length"]))


@pytest.fixture(scope="module")
def values(served_logistic: Any) -> list[list[float]]:
    return np.column_stack(list(served_logistic.packaged.frame.values()))[:20].tolist()


def test_a_compiled_model_is_served_natively(served_logistic: Any) -> None:
    assert "natively" in served_logistic.log()


def test_an_answer_is_pythons_byte_for_byte(served_logistic: Any, values: list[list[float]]) -> None:
    with Wire(served_logistic.port) as native:
        for row in values:
            with Wire(served_logistic.port) as python:
                native.send(post(ordinary(row, "7")))
                # a connection that is to be closed is Python's
                python.send(post(ordinary(row, "7"), "connection: close"))
                (status, headers, body), (other_status, other_headers, other_body) = native.answer(), python.answer()
            assert (status, body) == (other_status, other_body) == (200, body)
            assert other_headers.pop("connection") == "close"
            assert list(headers) == list(other_headers)
            assert headers | {"date": ""} == other_headers | {"date": ""}


def test_requests_of_all_kinds_on_one_connection_are_answered_in_turn(
    served_logistic: Any, values: list[list[float]]
) -> None:
    wrong = post(b'{"inputs": []}')
    asked = [
        (post(ordinary(values[0], "0")), 200),
        (get("/v2/models/fraud"), 200),
        (post(ordinary(values[1], "1")), 200),
        (wrong, 400),
        (post(ordinary(values[2], "2")), 200),
        (get("/nowhere"), 404),
        (post(ordinary(values[3], "3"), "x-envoy-expected-rq-timeout-ms: 60000"), 200),
    ]
    with Wire(served_logistic.port) as wire:
        for _ in range(3):
            wire.send(b"".join(request for request, _ in asked))
            answers = [wire.answer() for _ in asked]
            assert [status for status, _, _ in answers] == [status for _, status in asked]
            ids = [document.get("id") for _, _, body in answers if "outputs" in (document := json.loads(body))]
            assert [found for found in ids if found] == ["0", "1", "2", "3"]
            # Python gives connections back twice a second; both ways answer alike.
            time.sleep(0.6)


@pytest.mark.parametrize("pause", [0.0, 0.15], ids=["at once", "slowly"])
def test_a_request_that_arrives_in_pieces_is_answered(
    served_logistic: Any, values: list[list[float]], pause: float
) -> None:
    request = post(ordinary(values[0]))
    with Wire(served_logistic.port) as wire:
        wire.send(request)
        wanted = wire.answer()[2]
        for at in PARTS:
            wire.send(request[:at])
            time.sleep(pause)
            wire.send(request[at:])
            status, _, body = wire.answer()
            assert (status, body) == (200, wanted)


def test_a_caller_who_reads_late_gets_every_answer_in_turn(served_logistic: Any, values: list[list[float]]) -> None:
    count = 5000
    with Wire(served_logistic.port) as wire, ThreadPoolExecutor(1) as other:
        sent = other.submit(wire.send, b"".join(post(ordinary(values[n % 20], str(n))) for n in range(count)))
        for n in range(count):
            status, _, body = wire.answer()
            assert status == 200
            assert json.loads(body)["id"] == str(n)
        sent.result()


def test_callers_who_hang_up_hold_nothing(
    served_logistic: Any, values: list[list[float]], wait: Callable[..., Any]
) -> None:
    for row in values * 10:
        with Wire(served_logistic.port) as wire:
            wire.send(post(ordinary(row)))
    wait(lambda: served_logistic.metric(served_logistic.metrics_port, contract.METRIC_IN_FLIGHT) == 0)
    with Wire(served_logistic.port) as wire:
        wire.send(post(ordinary(values[0])))
        assert wire.answer()[0] == 200


def test_requests_rows_and_records_are_counted_whichever_way_they_went(
    served_logistic: Any, values: list[list[float]]
) -> None:
    def counted() -> tuple[float, float]:
        requests = served_logistic.metric(
            served_logistic.metrics_port, contract.METRIC_REQUESTS, route="infer", code="200"
        )
        return requests, served_logistic.metric(served_logistic.metrics_port, contract.METRIC_ROWS)

    flat = [value for row in values for value in row]
    table = {"name": "x", "datatype": "FP64", "shape": [20, len(values[0])], "data": flat}
    before = counted()
    with Wire(served_logistic.port) as wire:
        for _ in range(10):
            wire.send(post(ordinary(values[0])))
            wire.answer()
            wire.send(post(json.dumps({"inputs": [table]}).encode()))
            wire.answer()
            wire.send(post(json.dumps({"inputs": [table], "outputs": [{"name": "predict_proba"}]}).encode()))
            assert wire.answer()[0] == 200
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (30, 10 * 41)


@pytest.fixture(scope="module")
def slow(pack: Callable[..., Any], serving: Callable[..., Any]) -> Iterator[Any]:
    """A compiled forest that takes some ten milliseconds for a request of 256 rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    y = (X[:, 0] + rng.normal(size=3000) > 0).astype(int)
    forest = RandomForestClassifier(120, random_state=0, n_jobs=2).fit(X, y)
    with serving(pack(forest, {f"c{at}": X[:, at] for at in range(4)})) as served:
        assert "natively" in served.log()
        yield served


def test_beyond_what_can_be_answered_soon_requests_are_late_or_refused_and_none_is_lost(slow: Any) -> None:
    table = {"name": "x", "datatype": "FP64", "shape": [256, 4], "data": np.linspace(-2, 2, 1024).round(3).tolist()}
    body = json.dumps({"inputs": [table]}).encode()
    statuses = []
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(slow.port)) for _ in range(100)]
        # All of it is there before the first tenth is computed, however slowly this machine does both.
        for wire in wires:
            wire.send(post(body, f"{contract.HEADER_EXPECTED_TIMEOUT}: 10"))
        for wire in wires:
            status, headers, answer = wire.answer()
            assert status == 200 or json.loads(answer).keys() == {"error"}
            assert (status == 429) is (contract.HEADER_SATURATED in headers)
            statuses.append(status)
    assert set(statuses) <= {200, 429, 504}
    assert 504 in statuses
    for code in ("200", "429", "504"):
        counted = slow.metric(slow.metrics_port, contract.METRIC_REQUESTS, route="infer", code=code)
        assert counted == statuses.count(int(code)), code
    with Wire(slow.port) as wire:
        wire.send(post(body))
        assert wire.answer()[0] == 200


def test_a_stopping_server_answers_and_closes(
    logistic: Any, make_served: Callable[..., Any], values: list[list[float]]
) -> None:
    served = make_served(logistic)
    served.start_server()
    with Wire(served.port) as idle, Wire(served.port) as busy:
        for wire in (idle, busy):
            wire.send(post(ordinary(values[0])))
            assert wire.answer()[0] == 200
        served.server.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 2
        closes = False
        while not closes and time.monotonic() < deadline:
            busy.send(post(ordinary(values[1])))
            status, headers, _ = busy.answer()
            assert status == 200
            closes = headers.get("connection") == "close"
        assert closes
        assert served.server.wait(30) == 0
        assert idle.socket.recv(1) == b""


def test_a_python_client_gets_right_answers(served_logistic: Any, values: list[list[float]]) -> None:
    connection = HTTPConnection("127.0.0.1", served_logistic.port, timeout=30)
    estimator = served_logistic.packaged.estimator
    for row in values:
        connection.request("POST", PATH, ordinary(row), {"Content-Type": "application/json"})
        response: HTTPResponse = connection.getresponse()
        answer = json.loads(response.read())
        assert answer["outputs"][0]["data"] == estimator.predict(np.array([row])).tolist()
    connection.close()
