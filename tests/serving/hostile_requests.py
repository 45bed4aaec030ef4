"""Requests that no honest caller sends, by family: malformed, truncated, huge, deeply nested, hostile.

The model that they are for has the columns of `KINDS`. `SECRET` stands in values only: no answer and no log may hold it.
"""

import copy
import gzip
import json
import pickle
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KINDS = {"amount": "FP64", "single": "FP32", "count": "INT64", "member": "BOOL", "country": "BYTES"}
GOOD: dict[str, Any] = {"amount": 0.25, "single": 1.5, "count": 3, "member": True, "country": "DE"}
MAX_BODY = 200_000
SECRET = "pa55w0rd-of-a-caller"
PATHS = {
    "infer": b"/v2/models/fraud/infer",
    "predict": b"/v1/models/fraud:predict",
    "explain": b"/v2/models/fraud/explain",
    "explain v1": b"/v1/models/fraud:explain",
    "index": b"/v2/repository/index",
}
PAGES = [b"/v2", b"/v2/models/fraud", b"/v2/health/ready", b"/v2/models/stats", b"/v2/openapi.json", b"/", b"*"]


@dataclass(frozen=True, slots=True)
class Hostile:
    """What is sent. A `whole` request is right HTTP: it gets exactly one answer, and the next one may follow it."""

    family: str
    content: bytes
    whole: bool
    head_only: bool = False


def tensor(name: str, values: list[Any]) -> dict[str, Any]:
    """An input as the protocol asks for it."""
    return {"name": name, "datatype": KINDS[name], "shape": [len(values)], "data": values}


def document() -> dict[str, Any]:
    """A right request."""
    return {"inputs": [tensor(name, [value]) for name, value in GOOD.items()]}


def request(method: bytes, path: bytes, body: bytes, *headers: bytes) -> bytes:
    """A request whose length is told."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (method, path, len(body), lines, body)


# Parts

VALUES: list[Any] = [
    None, True, 0, -1, 2**53 + 1, 2**64, 10**300, 1e308, -1e308, -0.0, 5e-324, "", SECRET, "\u0000", "é" * 300, [], [[]],
    [[[1]]], {}, {"a": 1}, [SECRET] * 3, [1] * 50, ["a"] * 2, "FP64", "BYTES", "INT8", "FP16", [1, 8], [8], [-1], [0],
    [1.0], [True], [2**40, 2**40], [2**63], {"binary_data": True}, {"binary_data_size": 64}, {"binary_data_size": -1},
    {"content_type": "np"}, {"shared_memory_region": "x"}, {"classification": 3}, {"binary_data_output": True},
    [{"name": "predict_proba"}], [{"name": "predict"}, {"name": "decision_function"}], [{"name": "nothing"}], [{}],
]  # fmt: skip
PIECES = [
    b"\x00", b"\r\n", b"\r\n\r\n", b"[" * 500, b'{"inputs":', b"\xff\xfe", b"1e999", b"NaN", b"-Infinity", b"0" * 400, b'"',
    b"\\u", b"\\ud800", b"0\r\n\r\n", b"\n", b": ", b"HTTP/1.1", b"GET / HTTP/1.1\r\n\r\n", b"\xed\xa0\x80", b"1e400",
]  # fmt: skip
HEADERS = [
    b"Content-Type: application/json", b"Content-Type: application/octet-stream", b"Content-Type: ;;;", b"Content-Type:",
    b"Content-Type: text/plain", b"Inference-Header-Content-Length: 0", b"Inference-Header-Content-Length: 7",
    b"Inference-Header-Content-Length: 99999999999999999999", b"Inference-Header-Content-Length: -1",
    b"Inference-Header-Content-Length: \xb2", b"Expect: 100-continue", b"Connection: keep-alive, x", b"Upgrade: h2c",
    b"Content-Encoding: gzip", b"Content-Encoding: identity", b"x-envoy-expected-rq-timeout-ms: \xff",
    b"x-envoy-expected-rq-timeout-ms: 99999999999", b"x-envoy-expected-rq-timeout-ms: -1", b"X: " + b"y" * 3000,
    b"Range: bytes=0-", b"Accept: image/png", b"Accept-Encoding: *;q=0", b"Cookie: " + b"a=b;" * 200, b"X:", b"Date: never",
    b"If-None-Match: *", b"X-HTTP-Method-Override: DELETE", b"X-Forwarded-Host: ../../etc", b"Authorization: Basic //8=",
]  # fmt: skip
ENDING_HEADERS = [
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"x-envoy-expected-rq-timeout-ms: 1",
]


def spoil(chance: random.Random, parsed: Any) -> Any:
    """A document with up to four of its parts replaced, doubled, renamed or taken away."""
    for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
        place = parsed
        while chance.random() < 0.75:
            inner = list(place.values()) if isinstance(place, dict) else place if isinstance(place, list) else []
            inner = [part for part in inner if isinstance(part, dict | list) and part]
            if not inner:
                break
            place = chance.choice(inner)
        value = copy.deepcopy(chance.choice(VALUES))
        if isinstance(place, dict) and place:
            key = chance.choice(list(place))
            match chance.randrange(5):
                case 0:
                    del place[key]
                case 1:
                    place[chance.choice(["parameters", "outputs", "id", "more"])] = value
                case _:
                    place[key] = value
        elif isinstance(place, list) and place:
            at = chance.randrange(len(place))
            match chance.randrange(4):
                case 0:
                    del place[at]
                case 1:
                    place.append(copy.deepcopy(place[at]))
                case _:
                    place[at] = value
    return parsed


def mangle(chance: random.Random, content: bytes) -> bytes:
    """Content cut, doubled, spliced and flipped."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if chance.random() < 0.3:
                del data[at:]
            case 1:
                data[at:at] = chance.choice(PIECES)
            case 2 if data:
                data[at % len(data)] = chance.randrange(256)
            case 3:
                data += data[at:][:2000]
            case _:
                del data[at : at + chance.randint(1, 40)]
    return bytes(data)


def _instances(chance: random.Random) -> Any:
    return {"instances": [chance.choice([list(GOOD.values()), dict(GOOD)]) for _ in range(chance.randint(1, 3))]}


def _body(chance: random.Random, path: str) -> Any:
    if path == "index":
        return {"ready": True}
    return _instances(chance) if path in {"predict", "explain v1"} else document()


# Families of whole requests


def wrong_documents(chance: random.Random) -> bytes:
    path = chance.choice(["infer", "infer", "infer", "predict", "index"])
    return request(b"POST", PATHS[path], json.dumps(spoil(chance, _body(chance, path))).encode())


def broken_documents(chance: random.Random) -> bytes:
    path = chance.choice(["infer", "infer", "predict", "index"])
    return request(b"POST", PATHS[path], mangle(chance, json.dumps(spoil(chance, _body(chance, path))).encode()))


def deep_documents(chance: random.Random) -> bytes:
    depth = chance.choice([2, 100, 1023, 1024, 1025, 5_000, 60_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"":', b"}]")])
    depth = min(depth, MAX_BODY // len(opening + closing) - 100)
    nest = opening * depth + b"1" + (closing * depth if chance.random() < 0.5 else b"")
    around = chance.choice([b"%b", b'{"inputs":%b}', b'{"instances":[%b]}', b'{"id":"x","inputs":[{"data":%b}]}'])
    return request(b"POST", PATHS[chance.choice(["infer", "predict", "index"])], around % nest)


def huge_documents(chance: random.Random) -> bytes:
    size = chance.choice([1_000, 20_000, 60_000, MAX_BODY // 2])
    good = json.dumps(document()).encode()[1:-1]
    content = chance.choice(
        [
            lambda: (
                b'{"inputs":[{"name":"amount","datatype":"FP64","shape":[%d],"data":[%b]}]}'
                % (size // 2, b",".join([b"1"] * (size // 2)))
            ),
            lambda: b'{"inputs":[{"name":"amount","datatype":"INT64","shape":[1],"data":[%b]}]}' % (b"9" * size),
            lambda: b'{"inputs":[{"name":"amount","datatype":"FP64","shape":[1],"data":[0.%b]}]}' % (b"1" * size),
            lambda: b'{"inputs":[{"name":"%b","datatype":"FP64","shape":[1],"data":[1]}]}' % (b"n" * size),
            lambda: b'{"id":"%b",%b}' % (b"i" * size, good),
            lambda: b'{"inputs":[%b]}' % b",".join([b"{}"] * (size // 3)),
            lambda: b'{"%b":1,%b}' % (b"k" * size, good),
            lambda: b"{%b,%b}" % (b",".join(b'"%d":0' % number for number in range(size // 10)), good),
            lambda: b'{"instances":[%b]}' % b",".join([b"[]"] * (size // 3)),
            lambda: b'{%b,"outputs":[%b]}' % (good, b",".join([b'{"name":"predict"}'] * (size // 20))),
            lambda: (
                b'{"inputs":[{"name":"country","datatype":"BYTES","shape":[1],"data":["%b"]}]}'
                % (b"\\u00e9" * (size // 6))
            ),
            lambda: b" " * size + b"{%b}" % good,
        ]
    )()
    return request(b"POST", PATHS[chance.choice(["infer", "infer", "predict"])], content[:MAX_BODY])


def binary_tensors(chance: random.Random) -> bytes:
    """JSON with raw bytes after it, whose sizes, shapes, datatypes or contents do not fit each other."""
    rows = chance.choice([1, 1, 2, 3])
    right = {
        "amount": struct.pack("<d", 0.5) * rows,
        "single": struct.pack("<f", 0.5) * rows,
        "count": struct.pack("<q", 3) * rows,
        "member": b"\x01" * rows,
        "country": (struct.pack("<I", 2) + b"DE") * rows,
    }
    inputs, tail = [], b""
    for name, content in right.items():
        raw = content
        if chance.random() < 0.3:
            raw = chance.choice(
                [
                    b"",
                    b"\xff" * len(raw),
                    raw[:-1],
                    raw + b"\x00",
                    struct.pack("<I", 2**32 - 1) + raw,
                    chance.randbytes(20),
                ]
            )
        size = len(raw) + chance.choice([0] * 12 + [1, -1, 2**40, -(2**70)])
        inputs.append(
            {"name": name, "datatype": KINDS[name], "shape": [rows], "parameters": {"binary_data_size": size}}
        )
        tail += raw
    parsed = {"inputs": inputs, "parameters": {"binary_data_output": chance.random() < 0.5}}
    if chance.random() < 0.4:
        parsed = spoil(chance, parsed)
    head = json.dumps(parsed).encode()
    length = len(head) + chance.choice([0] * 8 + [1, -1, 10**6, -len(head)])
    headers = [b"Inference-Header-Content-Length: %d" % length, b"Content-Type: application/octet-stream"]
    return request(b"POST", PATHS["infer"], head + tail, *chance.sample(headers, chance.choice([1, 2, 2])))


def foreign_bodies(chance: random.Random) -> bytes:
    """What other programs would take: pickles, archives, XML, forms, messages of other protocols."""
    bodies = [
        pickle.dumps(document(), chance.randrange(6)),
        b"cos\nsystem\n(S'touch /tmp/never'\ntR.",
        gzip.compress(json.dumps(document()).encode()),
        gzip.compress(b"0" * 3_000_000),
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b"inputs=1&inputs=2", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
        b"PK\x03\x04" + chance.randbytes(50), chance.randbytes(chance.choice([1, 100, 10_000])), b"\x00" * 1000,
        b"\xef\xbb\xbf" + json.dumps(document()).encode(), json.dumps(document()).encode("utf-16"), b"null", b"[]",
        b"{}", b'""',
    ]  # fmt: skip
    headers = chance.sample(HEADERS, chance.choice([0, 0, 1]))
    return request(b"POST", PATHS[chance.choice(list(PATHS)[:2])], chance.choice(bodies), *headers)


def odd_headers(chance: random.Random) -> bytes:
    body = json.dumps(document()).encode()
    return request(b"POST", PATHS["infer"], body, *chance.sample(HEADERS, chance.randint(1, 6)))


def elsewhere(chance: random.Random) -> bytes:
    """Methods and paths that nobody has."""
    path = chance.choice(
        [
            *PAGES, *PATHS.values(), b"/v2/models/" + b"%2f.." * chance.randint(1, 50) + b"/etc/passwd", b"/%00",
            b"/%ff%fe", b"/%",
            b"//v2", b"/v2/models/fraud/versions/9/infer", b"/v2/models/fraud/versions//infer", b"/v1/models/fraud:",
            b"/v2/models//",
            b"/v2/models/other/infer", b"/v2/repository/models/fraud/load", b"/metrics", b"/v2/../../etc/shadow",
            b"http://x/v2",
            b"http://x", b"/v2?" + b"a=b&" * 300, b"/" + b"a" * chance.choice([100, 4000, 8000]),
            b"/v2/models/" + b"\xc3\xa9" * 20,
        ]
    )  # fmt: skip
    method = chance.choice([b"GET", b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND"])
    return request(method, path, chance.choice([b"", b"", b"x", b"{}"]))


def chunked(chance: random.Random) -> bytes:
    """A body in pieces, with extensions and trailers."""
    body = json.dumps(spoil(chance, document())).encode()
    parts, at = [], 0
    while at < len(body):
        size = chance.choice([1, 2, 7, 50, 1000])
        piece = body[at : at + size]
        at += size
        extension = chance.choice([b"", b"", b";a", b';a="b"', b";" + b"x" * 200])
        parts.append(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece))
    trailer = chance.choice([b"", b"", b"Host: evil\r\n", b"Content-Length: 5\r\n", b"X: y\r\n" * 20])
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PATHS["infer"]
    return head + b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def explanations(chance: random.Random) -> bytes:
    path = chance.choice(["explain", "explain v1"])
    body = json.dumps(spoil(chance, _body(chance, path))).encode()
    return request(b"POST", PATHS[path], mangle(chance, body) if chance.random() < 0.3 else body)


# Families that end their connection


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


Make = Callable[[random.Random], bytes]
WHOLE: dict[str, tuple[Make, int]] = {
    "wrong documents": (wrong_documents, 30),
    "broken documents": (broken_documents, 20),
    "deep documents": (deep_documents, 4),
    "huge documents": (huge_documents, 3),
    "binary tensors": (binary_tensors, 15),
    "foreign bodies": (foreign_bodies, 6),
    "odd headers": (odd_headers, 6),
    "elsewhere": (elsewhere, 8),
    "chunked": (chunked, 7),
    "explanations": (explanations, 1),
}
"""Right HTTP, by family; how often."""
ENDING: dict[str, tuple[Make, int]] = {
    "mangled": (mangled, 12),
    "truncated": (truncated, 10),
    "too large": (too_large, 3),
    "smuggled": (smuggled, 10),
    "other protocols": (other_protocols, 8),
    "ending headers": (ending_headers, 3),
}
"""What a connection ends with, by family; how often."""


def _choose(chance: random.Random, families: dict[str, tuple[Make, int]]) -> tuple[str, bytes]:
    name = chance.choices(list(families), [often for _, often in families.values()])[0]
    return name, families[name][0](chance)


def conversation(chance: random.Random, most: int) -> list[Hostile]:
    """What one connection sends: at most so many requests, often one behind the other, and often a bad end."""
    whole = [_choose(chance, WHOLE) for _ in range(min(most, chance.choice([0, 1, 3, 8, 20])))]
    said = [Hostile(family, content, True) for family, content in whole]
    if len(said) < most and (not said or chance.random() < 0.6):
        said.append(Hostile(*_choose(chance, ENDING), False))
    return said
