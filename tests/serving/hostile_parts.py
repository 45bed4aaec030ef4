"""What hostile requests are made of: a right request, ways to spoil it, and values and headers to spoil it with.

The model has the columns of `KINDS`. `SECRET` stands in values only: no answer and no log may hold it.
"""

import copy
import random
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


VALUES: list[Any] = [
    None, True, 0, -1, 2**53 + 1, 2**64, 10**300, 1e308, -1e308, -0.0, 5e-324, "", SECRET, "\u0000", "é" * 300, [], [[]],
    [[[1]]], {}, {"a": 1}, [SECRET] * 3, [1] * 50, ["a"] * 2, "FP64", "BYTES", "INT8", "FP16", [1, 8], [8], [-1], [0],
    [1.0], [True], [2**40, 2**40], [2**63], {"binary_data": True}, {"binary_data_size": 64}, {"binary_data_size": -1},
    {"content_type": "np"}, {"content_type": []}, {"shared_memory_region": "x"}, {"classification": 3},
    {"binary_data_output": True},
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
