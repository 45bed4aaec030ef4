"""The HTTP layer by itself: what it takes, what it turns away, in which order it answers, and what it never holds."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from penstock_serving.protocol.errors import RequestError
from penstock_serving.server.http.exchange import Exchange
from penstock_serving.server.http.heads import Heads
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import Listener

HOST = b"Host: x\r\n"
SMALL = HttpLimits(
    body=1000, bodies=2500, head=4096, target=200, headers=20, outstanding=4, connections=8,
    head_seconds=0.3, body_seconds=0.4, idle_seconds=0.5, write_seconds=0.5, linger_seconds=0.4,
)  # fmt: skip


class Recorder:
    """Answers with what it was asked; a path that begins with /later is answered when told."""

    def __init__(self) -> None:
        self.heads = Heads((("content-type", "application/json"),))
        self.later: list[Exchange] = []
        self.seen: list[Exchange] = []

    def handle(self, exchange: Exchange) -> None:
        self.seen.append(exchange)
        if exchange.path.startswith("/later"):
            self.later.append(exchange)
        else:
            self.answer(exchange)

    def answer(self, exchange: Exchange) -> None:
        said = {"method": exchange.method.decode(), "path": exchange.path, "body": exchange.body.decode("latin-1")}
        size = int(exchange.headers.get(b"x-size", b"0"))
        exchange.answer(self.heads.of(200), json.dumps(said).encode() + b" " * size)

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        exchange.answer(self.heads.of(error.status), json.dumps({"error": error.message}).encode())


class Caller:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], Any]:
        """Status, headers and document of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        size = 0 if bodiless else int(headers.get("content-length", 0))
        body = await self.reader.readexactly(size)
        return int(head[0].split()[1]), headers, json.loads(body) if body else None

    async def closed(self) -> bool:
        """Whether the server ends the connection with nothing more to say."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 3) == b""
        except ConnectionError:
            return True


class Bench:
    """A listener with its handler, and callers to it."""

    def __init__(self, limits: HttpLimits) -> None:
        self.handler = Recorder()
        self.listener = Listener(self.handler, limits)
        self._writers: list[asyncio.StreamWriter] = []
        self._port = 0

    async def start(self) -> None:
        await self.listener.listen("127.0.0.1", 0)
        self._port = self.listener.port

    async def call(self) -> Caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        return Caller(reader, writer)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        for writer in self._writers:
            writer.close()
        await self.listener.close(1.0)


@asynccontextmanager
async def bench(limits: HttpLimits = SMALL) -> AsyncIterator[Bench]:
    made = Bench(limits)
    await made.start()
    try:
        yield made
        await made.until(lambda: not made.listener.budget.held or made.handler.later)
    finally:
        await made.stop()
    assert made.listener.budget.held == 0
    assert made.listener.connections == 0


def run(work: Coroutine[Any, Any, None]) -> None:
    uvloop.run(work)


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n%b" % (path, HOST, len(body), lines, body)


def get(path: bytes, *headers: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, b"".join(header + b"\r\n" for header in headers))


GOOD: dict[str, tuple[bytes, dict[str, str]]] = {
    "plain": (get(b"/a"), {"path": "/a"}),
    "a body": (post(b"/a", b"xyz"), {"body": "xyz"}),
    "an empty body": (post(b"/a", b""), {"body": ""}),
    "a query": (get(b"/a?b=/c"), {"path": "/a"}),
    "absolute form": (get(b"http://x/a/b?c"), {"path": "/a/b"}),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {"path": "*"}),
    "chunked": (
        b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n",
        {"body": "abcde"},
    ),
    "chunked with a trailer": (
        b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: evil\r\n\r\n",
        {"body": "a"},
    ),
    "another protocol offered": (get(b"/a", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"), {"path": "/a"}),
    "another protocol offered with a body": (
        post(b"/a", b"xyz", b"Connection: Upgrade", b"Upgrade: h2c"),
        {"body": "xyz"},
    ),
    "the older version": (b"GET /a HTTP/1.0\r\n\r\n", {"path": "/a"}),
    "empty lines before": (b"\r\n\r\n" + get(b"/a"), {"path": "/a"}),
}


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("at_once", [1, 3, 10_000])
def test_requests_are_read_however_they_are_cut(case: str, at_once: int) -> None:
    request, expected = GOOD[case]

    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            for start in range(0, len(request), at_once):
                caller.send(request[start : start + at_once])
                await asyncio.sleep(0)
            status, headers, said = await caller.answer()
            assert status == 200
            assert expected.items() <= said.items()
            assert headers["date"].endswith("gmt")

    run(work())


BAD: dict[str, tuple[bytes, int]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "another version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "unknown method": (b"HACK / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "a line feed alone": (b"GET / HTTP/1.1\n" + HOST + b"\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a header without a colon": (b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a zero byte in a header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "length and chunked": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a negative length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "a length of letters": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1e1\r\n\r\n", 400),
    "a length without an end": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", 400),
    "a chunk of letters": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
    "a chunk longer than it says": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        400,
    ),
    "chunked, but not last": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    "compressed and chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "another expectation": (post(b"/", b"x", b"Expect: 200-maybe"), 417),
    "a long target": (get(b"/" + b"a" * 300), 414),
    "a target without an end": (b"GET /" + b"a" * 6000, 431),
    "headers without an end": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 6000, 431),
    "too many headers": (get(b"/", *[b"X-%d: y" % number for number in range(30)]), 431),
    "trailers without an end": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 2000,
        431,
    ),
    "a trailer without an end": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 10_000,
        431,
    ),
    "a chunk extension without an end": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 10_000,
        431,
    ),
    "a large body": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n", 413),
    "a large chunked body": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"64\r\n" + b"a" * 100 + b"\r\n") * 11,
        413,
    ),
    "a large body with an expectation": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
        413,
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("at_once", [1, 10_000])
def test_what_is_wrong_is_said_and_the_connection_closed(case: str, at_once: int) -> None:
    request, expected = BAD[case]

    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            for start in range(0, len(request), at_once):
                caller.send(request[start : start + at_once])
            status, headers, said = await caller.answer()
            assert status == expected
            assert list(said) == ["error"]
            assert headers["connection"] == "close"
            assert await caller.closed()
            assert not it.handler.seen

    run(work())


def test_a_caller_who_is_told_413_while_sending_reads_it() -> None:
    async def work() -> None:
        async with bench(HttpLimits(body=1000)) as it:
            caller = await it.call()
            caller.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3000000\r\n\r\n")
            for _ in range(300):
                caller.send(b"x" * 10_000)
                await asyncio.sleep(0)
            assert (await caller.answer())[0] == 413
            assert await caller.closed()

    run(work())


def test_a_caller_who_asks_before_sending_is_told_to_go_on() -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            request = post(b"/a", b"xyz", b"Expect: 100-continue")
            caller.send(request[:-3])
            assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            caller.send(b"xyz")
            assert (await caller.answer())[2]["body"] == "xyz"

    run(work())


def test_head_gets_the_head_alone() -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            caller.send(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/b"))
            _, headers, _ = await caller.answer(bodiless=True)
            assert int(headers["content-length"]) > 0
            assert (await caller.answer())[2]["path"] == "/b"

    run(work())


def test_answers_come_in_the_order_of_the_requests() -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            caller.send(get(b"/later/1") + get(b"/2") + get(b"/later/3") + b"nonsense\r\n\r\n")
            await it.until(lambda: len(it.handler.later) == 2)
            for exchange in reversed(it.handler.later):
                it.handler.answer(exchange)
            answers = [await caller.answer() for _ in range(4)]
            assert [said.get("path") for _, _, said in answers] == ["/later/1", "/2", "/later/3", None]
            assert answers[3][0] == 400
            assert await caller.closed()

    run(work())


@pytest.mark.parametrize(
    "last",
    [
        get(b"/a", b"Connection: close"),
        b"GET /a HTTP/1.0\r\n\r\n",
        b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_what_follows_a_request_that_closes_is_not_read(last: bytes) -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            caller.send(last + get(b"/b"))
            status, headers, _ = await caller.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert await caller.closed()
            assert len(it.handler.seen) == 1

    run(work())


def test_of_a_flood_on_one_connection_only_a_few_are_taken_and_all_are_answered() -> None:
    count = 3000

    async def work() -> None:
        async with bench(HttpLimits(outstanding=4)) as it:
            caller = await it.call()
            caller.send(b"".join(get(b"/later/%d" % number) for number in range(count)))
            answered = 0
            most = 0
            while answered < count:
                await it.until(lambda: it.handler.later)
                most = max(most, len(it.handler.later))
                while it.handler.later:
                    it.handler.answer(it.handler.later.pop(0))
                    _, _, said = await caller.answer()
                    assert said["path"] == f"/later/{answered}"
                    answered += 1
            assert most <= 4 + 4096 // len(get(b"/later/1"))

    run(work())


def test_a_caller_who_does_not_read_is_not_read_from_and_then_dropped() -> None:
    async def work() -> None:
        async with bench(HttpLimits(write_seconds=0.3)) as it:
            caller = await it.call()
            caller.writer.transport.pause_reading()
            for _ in range(200):
                caller.send(get(b"/a", b"X-Size: 100000") * 10)
                await asyncio.sleep(0)
            await it.until(lambda: not it.listener.connections)
            assert len(it.handler.seen) < 1000

    run(work())


@pytest.mark.parametrize("sent", [b"GET / HT", post(b"/", b"xyz")[:-1], b"POST / HTTP/1.1\r\n" + HOST + b"X: "])
def test_what_comes_too_slowly_is_408(sent: bytes) -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            for byte in sent:
                caller.send(bytes([byte]))
                await asyncio.sleep(0.001)
            status, headers, _ = await caller.answer()
            assert (status, headers["connection"]) == (408, "close")
            assert await caller.closed()

    run(work())


@pytest.mark.parametrize("first", [b"", get(b"/a")])
def test_idle_connections_are_closed(first: bytes) -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            caller.send(first)
            if first:
                assert (await caller.answer())[0] == 200
            assert await caller.closed()

    run(work())


@pytest.mark.parametrize("hang_up", ["abort", "write_eof"])
def test_a_caller_who_hangs_up_is_no_longer_waited_for(hang_up: str) -> None:
    async def work() -> None:
        async with bench() as it:
            caller = await it.call()
            caller.send(post(b"/later", b"xyz"))
            await it.until(lambda: it.handler.later)
            getattr(caller.writer.transport, hang_up)()
            exchange = it.handler.later.pop()
            await it.until(lambda: not exchange.wanted)
            it.handler.answer(exchange)

    run(work())


def test_all_bodies_together_are_bounded() -> None:
    async def work() -> None:
        async with bench() as it:
            first, second, third = [await it.call() for _ in range(3)]
            for caller in (first, second):
                caller.send(post(b"/later", b"x" * 1000))
            await it.until(lambda: len(it.handler.later) == 2)
            third.send(post(b"/a", b"x" * 1000))
            assert (await third.answer())[0] == 429
            while it.handler.later:
                it.handler.answer(it.handler.later.pop())
            fourth = await it.call()
            fourth.send(post(b"/a", b"x" * 1000))
            assert (await fourth.answer())[0] == 200

    run(work())


def test_beyond_the_cap_connections_are_turned_away() -> None:
    async def work() -> None:
        async with bench() as it:
            callers = [await it.call() for _ in range(8)]
            await it.until(lambda: it.listener.connections == 8)
            one_more = await it.call()
            assert (await one_more.answer())[0] == 429
            assert await one_more.closed()
            callers[0].send(get(b"/a"))
            assert (await callers[0].answer())[0] == 200

    run(work())


def test_closing_waits_for_what_is_outstanding_and_says_so() -> None:
    async def work() -> None:
        async with bench() as it:
            idle, busy = await it.call(), await it.call()
            idle.send(get(b"/a"))
            await idle.answer()
            busy.send(get(b"/later/1") + get(b"/later/2"))
            await it.until(lambda: len(it.handler.later) == 2)
            closing = asyncio.create_task(it.listener.close(5.0))
            assert await idle.closed()
            for exchange in it.handler.later:
                it.handler.answer(exchange)
            first, second = await busy.answer(), await busy.answer()
            assert "connection" not in first[1]
            assert second[1]["connection"] == "close"
            assert await busy.closed()
            await closing

    run(work())


@pytest.mark.parametrize("size", [0, 1, 65_000, 70_000, 3_000_000])
def test_answers_of_any_size_arrive_whole(size: int) -> None:
    async def work() -> None:
        async with bench(HttpLimits()) as it:
            caller = await it.call()
            request: Awaitable[Any] | None = None
            for _ in range(3):
                caller.send(get(b"/a", b"X-Size: %d" % size))
                request = caller.answer()
                assert (await request)[0] == 200

    run(work())
