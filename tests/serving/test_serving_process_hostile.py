"""Hostile callers: whatever they send, the server answers the others, fails no request of its own, and does not grow."""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from penstock_serving import contract

INFER = "/v2/models/fraud/infer"
KNOWN = [INFER, "/v1/models/fraud:predict", "/v2", "/v2/models/fraud", "/v2/health/ready", "/v2/repository/index", "/"]
HEADERS = [
    b"Content-Type: application/json", b"Content-Type: application/octet-stream", b"Content-Type: ;;;",
    b"Inference-Header-Content-Length: 0", b"Inference-Header-Content-Length: 7", b"Transfer-Encoding: chunked",
    b"Inference-Header-Content-Length: 99999999999999999999", b"Expect: 100-continue", b"Connection: close",
    b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Encoding: gzip", b"x-envoy-expected-rq-timeout-ms: 1",
    b"x-envoy-expected-rq-timeout-ms: \xff", b"Host: other", b"X: " + b"y" * 3000, b"Content-Length: 5", b"Range: bytes=0-",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 2**53 + 1, 2**64, 1e308, -0.0, "", "x", "\u0000", "é" * 300, [], [[]], [[[1]]], {}, {"a": 1},
    [1] * 50, "FP64", "BYTES", "INT8", [1, 8], [8], [-1], [2**40, 2**40], {"binary_data": True}, {"binary_data_size": 64},
]  # fmt: skip
SPLICES = [
    b"\x00",
    b"\r\n",
    b"\r\n\r\n",
    b"[" * 2000,
    b'{"inputs":',
    b"\xff\xfe",
    b"1e999",
    b"NaN",
    b"0" * 400,
    b'"',
    b"\\u",
]


def tensor(columns: int) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP64", "shape": [1, columns], "data": [[0.5] * columns]}


def spoiled_document(chance: random.Random, columns: int) -> bytes:
    """A request with some of its parts replaced by others."""
    document: dict[str, Any] = {"inputs": [tensor(columns)], "outputs": [{"name": "predict"}], "id": "x"}
    document |= {"parameters": {}, "instances": [[0.5] * columns]}
    for _ in range(chance.randint(0, 3)):
        place: Any = chance.choice(
            [document, *document["inputs"]] if isinstance(document.get("inputs"), list) else [document]
        )
        if isinstance(place, dict) and place:
            key = chance.choice(list(place))
            if chance.random() < 0.2:
                del place[key]
            else:
                place[chance.choice([key, "more", "parameters"])] = chance.choice(VALUES)
    return json.dumps(document).encode()


def spoiled_bytes(chance: random.Random, content: bytes) -> bytes:
    """Content cut, doubled, spliced and flipped."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                del data[at:]
            case 1:
                data[at:at] = chance.choice(SPLICES)
            case 2 if data:
                data[at % len(data)] = chance.randrange(256)
            case 3:
                data += data[at:][:5000]
            case _:
                del data[at : at + chance.randint(1, 40)]
    return bytes(data)


def hostile(chance: random.Random, columns: int) -> bytes:
    """One or more requests, or what looks like some."""
    body = spoiled_document(chance, columns)
    if chance.random() < 0.4:
        body = spoiled_bytes(chance, body)
    if chance.random() < 0.02:
        body += b" " * chance.choice([70_000, 300_000])
    headers = chance.sample(HEADERS, chance.choice([0, 1, 1, 1, 2, 3]))
    if chance.random() < 0.9:
        headers.append(b"Host: x")
    if chance.random() < 0.9:
        headers.append(b"Content-Length: %d" % (len(body) + chance.choice([0, 0, 0, 0, 1, -1])))
    method = chance.choice([b"POST", b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"CONNECT", b"PRI"])
    path = chance.choice(KNOWN) if chance.random() < 0.9 else "/" + "%2f.." * chance.randint(1, 50)
    request = b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, path.encode(), b"\r\n".join(headers), body)
    if chance.random() < 0.3:
        request = spoiled_bytes(chance, request)
    return request * chance.choice([1, 1, 1, 3])


class Attack:
    """Sends hostile requests over many connections, and reads what comes back."""

    def __init__(self, port: int, columns: int, seed: int) -> None:
        self._port, self._columns, self._chance = port, columns, random.Random(seed)
        self.statuses: dict[int, int] = {}
        self.broken: list[bytes] = []

    async def run(self, count: int, at_once: int) -> None:
        left = [count]

        async def caller() -> None:
            while left[0] > 0:
                left[0] -= 1
                await self._one(hostile(self._chance, self._columns))

        await asyncio.gather(*(caller() for _ in range(at_once)))

    async def _one(self, request: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        said = b""
        try:
            writer.write(request)
            if self._chance.random() < 0.1:
                return  # hang up without reading
            async with asyncio.timeout(0.05 if self._chance.random() < 0.5 else 0.2):
                while chunk := await reader.read(65536):
                    said += chunk
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        for line in said.split(b"\r\n"):
            if line.startswith(b"HTTP/1.1 "):
                status = int(line.split()[1])
                self.statuses[status] = self.statuses.get(status, 0) + 1
        if said and not said.startswith(b"HTTP/1.1 "):
            self.broken.append(said[:100])


def resident(pid: int) -> int:
    """Bytes in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.fixture
def healthy() -> Iterator[Callable[[str, dict[str, Any], threading.Event], list[int]]]:
    """A caller who asks for predictions until told to stop."""
    threads = []

    def start(url: str, document: dict[str, Any], stop: threading.Event) -> list[int]:
        got: list[int] = []

        def work() -> None:
            with httpx.Client(timeout=30) as client:
                while not stop.is_set():
                    got.append(client.post(url + INFER, json=document).status_code)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return got

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("count", "seed"), [(3_000, 1), pytest.param(100_000, 2, marks=[pytest.mark.campaign, pytest.mark.timeout(7200)])]
)
def test_hostile_requests_fail_only_themselves(
    count: int, seed: int, logistic: Any, serving: Callable[..., Any], healthy: Callable[..., list[int]]
) -> None:
    columns = len(logistic.frame)
    limits = {contract.ENV_MAX_BODY_BYTES: "200000"}
    with serving(logistic, **limits) as served:
        # What is allocated once, for the largest of everything, is no growth.
        asyncio.run(Attack(served.port, columns, seed + 1000).run(count // 4, 32))
        before = resident(served.server.pid)
        stop = threading.Event()
        got = healthy(served.url, {"inputs": [tensor(columns)]}, stop)
        attack = Attack(served.port, columns, seed)
        asyncio.run(attack.run(count, 32))
        stop.set()
        after = resident(served.server.pid)
        assert served.server.poll() is None
        assert httpx.post(served.url + INFER, json={"inputs": [tensor(columns)]}).status_code == 200
        log = served.log()
    assert set(got) == {200}
    assert len(got) > 20
    assert not attack.broken
    assert {200, 400, 404, 405, 413, 415} <= attack.statuses.keys()
    # 501: a transfer coding that is not offered; 504: a caller who waits for a millisecond.
    assert not [status for status in attack.statuses if status >= 500 and status not in {501, 504}]
    assert after < before + (16 << 20)
    assert "Traceback" not in log
    assert "exception" not in log.lower()


def test_callers_who_trickle_keep_nobody_waiting(logistic: Any, serving: Callable[..., Any]) -> None:
    columns = len(logistic.frame)

    async def work(port: int) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for number, (_, writer) in enumerate(slow):
            writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\n" % INFER.encode() if number % 2 else b"P")
        async with httpx.AsyncClient() as client:
            for number in range(50):
                for _, writer in slow:
                    writer.write(b"X: y\r\n" if number % 2 else b"Z: ")
                answer = await client.post(
                    f"http://127.0.0.1:{port}{INFER}", json={"inputs": [tensor(columns)]}, timeout=5
                )
                assert answer.status_code == 200
        for _, writer in slow:
            writer.close()

    with serving(logistic) as served:
        asyncio.run(work(served.port))
