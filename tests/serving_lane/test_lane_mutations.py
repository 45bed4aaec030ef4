"""Whatever bytes are sent, the lane answers as Python does or leaves them, and goes on."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("penstock_lane", reason="build and install serving/native (`make native`)")

from tests.serving.hostile_parts import mangle
from tests.serving_fuzz import corpus
from tests.serving_lane import lane_requests as asked
from tests.serving_lane.lane_models import Ways, ways

KINDS = (
    "numbers, text labels",
    "one column",
    "a column of every kind",
    "text, takes everything",
    "bounded, text",
    "called, text labels",
    "called, a column of every kind",
    "voting, text labels",
)
INVALID = (b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xef\xbb\xbf", b"\x00")
kinds = pytest.mark.parametrize("kind", KINDS)


def still_answers(found: Ways) -> bool:
    columns = found.signature.columns
    whole = next(row for row in found.rows if not any(cell is None or cell != cell for cell in row))
    values = [json.loads(asked.spelled(cell, column)) for cell, column in zip(whole, columns, strict=True)]
    if any(
        column.bounds is not None and not column.bounds[0] <= value <= column.bounds[1]
        for value, column in zip(values, columns, strict=True)
    ):
        return True
    inputs = [
        {"name": column.name, "datatype": column.datatype.value, "shape": [1], "data": [value]}
        for value, column in zip(values, columns, strict=True)
    ]
    return found.check(json.dumps({"inputs": inputs}, ensure_ascii=False).encode())


@kinds
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_requests_with_a_few_bytes_changed(kind: str, data: st.DataObject) -> None:
    found = ways(kind)
    body = bytearray(data.draw(asked.requests(found)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "digit", "invalid", "end"])):
            case "flip" if at < len(body):
                body[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del body[at : at + data.draw(st.integers(1, 8))]
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=4))
            case "digit":
                body[at:at] = data.draw(st.sampled_from([b"0", b"9", b"-", b".", b"e", b" ", b",", b'"', b"[", b"}"]))
            case "invalid":
                body[at:at] = data.draw(st.sampled_from(INVALID))
            case _:
                del body[at:]
    found.check(bytes(body))


@kinds
@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200) | st.text().map(str.encode))
def test_bytes_that_are_no_request(kind: str, body: bytes) -> None:
    assert not ways(kind).check(body)


@kinds
def test_what_fuzzing_has_kept_and_what_is_made_of_it(kind: str) -> None:
    found = ways(kind)
    chance = random.Random(4)
    kept = [content[1:] for target in ("v2", "v1") for content in corpus.read(target)]
    kept += [content[3:] for content in corpus.read("v2-binary")] + corpus.read("http") + corpus.read("grpc")
    for content in kept:
        found.check(content)
    ordinary = [content.replace(b"c0", found.signature.columns[0].name.encode()) for content in kept]
    for _ in range(300):
        found.check(mangle(chance, chance.choice(ordinary)))
    assert still_answers(found)


@kinds
@pytest.mark.parametrize(
    "opening", [b"[", b'{"inputs":', b'{"inputs":[{"data":[', b'{"inputs":[{"data":[[', b'{"inputs":[{"shape":[']
)
@pytest.mark.parametrize("depth", [2, 100, 1_000, 200_000])
def test_deep_nesting(kind: str, opening: bytes, depth: int) -> None:
    found = ways(kind)
    for body in (opening + b"[" * depth, opening + b"[" * depth + b"1" + b"]" * depth, opening * min(depth, 5_000)):
        assert not found.check(body)
    assert still_answers(found)


@kinds
def test_large_bodies(kind: str) -> None:
    found = ways(kind)
    wide = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,%d],"data":[%b]}]}' % (
        10**6,
        b",".join([b"1"] * 10**6),
    )
    many = b'{"inputs":[%b]}' % b",".join([b'{"name":"x","datatype":"FP64","shape":[1],"data":[1]}'] * 20_000)
    for body in (wide, many, b'{"id":"' + b"i" * 10**6 + b'"}', b" " * 10**6, b'{"inputs":[{"data":[' + b"9" * 10**6):
        assert not found.check(body)
    assert still_answers(found)


def test_the_lane_s_memory_does_not_grow() -> None:
    """Bodies of every sort, over and over: what is held after the first rounds is what is held at the end."""
    found = ways("numbers, text labels")
    row = b",".join(b"%.17g" % value for value in found.rows[0])
    ordinary = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,6],"data":[%b]}]}' % row
    bodies = [ordinary, ordinary[:-1], b"\xff" * 2_000, b'{"inputs":[{"data":[' + b"1," * 5_000]

    def held() -> int:
        for _ in range(4_000):
            found.natively(bodies)
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    held()
    before = held()
    assert held() - before < 4 << 20
