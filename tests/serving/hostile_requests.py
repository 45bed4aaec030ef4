"""Requests that no honest caller sends but that are right HTTP, by family: wrong, broken, huge, deeply nested, hostile.

Each gets exactly one answer, and another request may follow it.
"""

import gzip
import json
import pickle
import random
import struct
from collections.abc import Callable
from typing import Any

from tests.serving.hostile_parts import GOOD, HEADERS, KINDS, MAX_BODY, PAGES, PATHS, document, mangle, request, spoil

Make = Callable[[random.Random], bytes]


def _instances(chance: random.Random) -> Any:
    return {"instances": [chance.choice([list(GOOD.values()), dict(GOOD)]) for _ in range(chance.randint(1, 3))]}


def _body(chance: random.Random, path: str) -> Any:
    if path == "index":
        return {"ready": True}
    return _instances(chance) if path in {"predict", "explain v1"} else document()


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


WHOLE: dict[str, tuple[Make, float]] = {
    "wrong documents": (wrong_documents, 30),
    "broken documents": (broken_documents, 20),
    "deep documents": (deep_documents, 4),
    "huge documents": (huge_documents, 3),
    "binary tensors": (binary_tensors, 15),
    "foreign bodies": (foreign_bodies, 6),
    "odd headers": (odd_headers, 6),
    "elsewhere": (elsewhere, 8),
    "chunked": (chunked, 7),
    "explanations": (explanations, 0.3),
}
"""Makers of families, and how often each is chosen."""
