"""What ends a connection, by family: mangled, truncated, too large, smuggled, of other protocols; and conversations."""

import json
import random
from dataclasses import dataclass

from tests.serving.hostile_parts import MAX_BODY, PATHS, document, mangle, request
from tests.serving.hostile_requests import WHOLE, Make, binary_tensors, chunked, odd_headers, wrong_documents

ENDING_HEADERS = [
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"x-envoy-expected-rq-timeout-ms: 1",
]


@dataclass(frozen=True, slots=True)
class Hostile:
    """What is sent. A `whole` request is right HTTP: it gets exactly one answer, and the next one may follow it."""

    family: str
    content: bytes
    whole: bool


def mangled(chance: random.Random) -> bytes:
    """Any of the others with its bytes mangled, head and all."""
    return mangle(chance, chance.choice([make for make, _ in WHOLE.values()])(chance)[:50_000])


def truncated(chance: random.Random) -> bytes:
    """A request that stops in its middle."""
    whole = chance.choice([wrong_documents, binary_tensors, chunked, odd_headers])(chance)
    return whole[: chance.randrange(len(whole))]


def too_large(chance: random.Random) -> bytes:
    """More than may be sent, or told to be."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\n" % PATHS["infer"]
    big = chance.choice([MAX_BODY + 1, 10**9, 2**63 - 1, 2**64, 10**40])
    return chance.choice(
        [
            lambda: head + b"Content-Length: %d\r\n\r\n" % big,
            lambda: head + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % big,
            lambda: head + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1) + b"[" * (MAX_BODY + 1),
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n%b\r\n" % (b"1" * 0x8000) * 8,
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\nabc" % big,
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 20_000,
            lambda: head + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 40_000,
            lambda: head + b"X: " + b"y" * 20_000,
            lambda: head + b"".join(b"X%d: y\r\n" % number for number in range(150)) + b"\r\n",
            lambda: head + b"X: y\r\n" * 5_000,
            lambda: b"GET /" + b"a" * chance.choice([9_000, 60_000]) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"\r\n" * 20_000,
        ]
    )()


def smuggled(chance: random.Random) -> bytes:
    """Requests on whose end two servers might not agree (RFC 9112, 11.2), with another behind them."""
    lines = chance.choice(
        [
            b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 3",
            b"Content-Length: 3\r\nContent-Length: 4", b"Content-Length: 3, 3", b"Content-Length: +3",
            b"Content-Length: 0x3",
            b"Content-Length: -1", b"Content-Length: 3 4", b"Content-Length:", b"Content-Length : 3", b" Content-Length: 3",
            b"Content-Length: 3\nX: y", b"Content-Length: \xb3", b"Transfer-Encoding: chunked, identity", b"X: a\r\n b",
            b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip", b"Transfer-Encoding: xchunked", b"X\x00: y",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding:\x0bchunked", b"X: \x00",
            b"Transfer_Encoding: chunked", b"Host: x", b"Host: y\r\nHost: z", b"X: y\rContent-Length: 3", b"(): y", b": y",
        ]
    )  # fmt: skip
    body = chance.choice(
        [b"abc", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"-1\r\n", b"g\r\n", b"3\r\nabcX0\r\n\r\n"]
    )
    start = chance.choice([b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: x", b"GET /v2 HTTP/1.1\r\nHost: x"])
    return b"%b\r\n%b\r\n\r\n%b" % (start, lines, body) + b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"


def other_protocols(chance: random.Random) -> bytes:
    return chance.choice(
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
            b"SSH-2.0-OpenSSH_9.0\r\n", b"\x05\x01\x00", b"*1\r\n$4\r\nPING\r\n", b"GET /\r\n", b"GET / HTTP/0.9\r\n\r\n",
            b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
            b"GET  / HTTP/1.1\r\n\r\n", chance.randbytes(200),
            b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"get / http/1.1\r\n\r\n",
            b"\x00" * 5000,
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + chance.randbytes(50),
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
            b"\x80" * 100,
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"GET /v2 HTTP/1.0\r\n\r\n", b"\n" * 100,
            b"POST / HTTP/1.1\r\n" * 200,
        ]
    )  # fmt: skip


def ending_headers(chance: random.Random) -> bytes:
    return request(b"POST", PATHS["infer"], json.dumps(document()).encode(), chance.choice(ENDING_HEADERS))


ENDING: dict[str, tuple[Make, float]] = {
    "mangled": (mangled, 12),
    "truncated": (truncated, 10),
    "too large": (too_large, 3),
    "smuggled": (smuggled, 10),
    "other protocols": (other_protocols, 8),
    "ending headers": (ending_headers, 3),
}
"""What a connection ends with, by family; how often."""


def _choose(chance: random.Random, families: dict[str, tuple[Make, float]]) -> tuple[str, bytes]:
    name = chance.choices(list(families), [often for _, often in families.values()])[0]
    return name, families[name][0](chance)


def conversation(chance: random.Random, most: int) -> list[Hostile]:
    """What one connection sends: at most so many requests, often one behind the other, and often a bad end."""
    whole = [_choose(chance, WHOLE) for _ in range(min(most, chance.choice([0, 1, 3, 8, 20])))]
    said = [Hostile(family, content, True) for family, content in whole]
    if len(said) < most and (not said or chance.random() < 0.6):
        said.append(Hostile(*_choose(chance, ENDING), False))
    return said
