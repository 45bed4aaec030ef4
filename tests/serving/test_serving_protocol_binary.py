"""Binary tensors give what JSON gives, in both directions, and bytes that are not exactly a tensor's are refused."""

import json
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import matrix, ordinary, tensors, v2
from penstock_serving.protocol.call import Encoded
from penstock_serving.protocol.errors import BadRequestError, ModelRefusalError, RequestError
from penstock_serving.protocol.outputs import checked
from penstock_serving.protocol.plan import plan

KINDS = {
    "FP64": ("<f8", st.floats(allow_infinity=False)),
    "FP32": ("<f4", st.floats(width=32, allow_infinity=False)),
    "FP16": ("<f2", st.floats(width=16, allow_infinity=False)),
    "INT64": ("<i8", st.integers(1 - 2**53, 2**53 - 1)),
    "INT32": ("<i4", st.integers(-(2**31), 2**31 - 1)),
    "INT8": ("i1", st.integers(-128, 127)),
    "UINT64": ("<u8", st.integers(0, 2**53 - 1)),
    "UINT16": ("<u2", st.integers(0, 2**16 - 1)),
    "UINT8": ("u1", st.integers(0, 255)),
    "BOOL": ("?", st.booleans()),
    "BYTES": ("", st.text(max_size=8)),
}
COLUMN = {"FP16": "FP32", "INT32": "INT64", "INT8": "INT64", "UINT64": "INT64", "UINT16": "FP64", "UINT8": "FP64"}


def signature(*kinds: str, missing: bool = True, outputs: tuple[Output, ...] = ()) -> Signature:
    columns = tuple(Column(f"c{number}", Datatype(kind), missing, True, (), ()) for number, kind in enumerate(kinds))
    return Signature(
        columns, outputs or (Output("predict", Datatype.FP64, 0),), (), (), Versions("3.11", "1.9", "2.4", "1.5")
    )


def raw(kind: str, values: list[Any]) -> bytes:
    if kind == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return np.array(values).astype(KINDS[kind][0]).tobytes()


def binary_body(tensors_: list[dict[str, Any]], contents: list[bytes], **more: Any) -> tuple[bytes, int]:
    for tensor, content in zip(tensors_, contents, strict=True):
        tensor["parameters"] = {"binary_data_size": len(content)}
    head = json.dumps({"inputs": tensors_} | more).encode()
    return head + b"".join(contents), len(head)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_raw_bytes_give_the_matrix_that_json_gives(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5))
    rows = data.draw(st.integers(1, 4))
    wanted = signature(*(COLUMN.get(kind, kind) for kind in kinds))
    columns = [data.draw(st.lists(KINDS[kind][1], min_size=rows, max_size=rows)) for kind in kinds]
    described = [{"name": f"c{n}", "datatype": kind, "shape": [rows]} for n, kind in enumerate(kinds)]
    body, length = binary_body(
        [dict(item) for item in described], [raw(*pair) for pair in zip(kinds, columns, strict=True)]
    )
    listed = [
        item
        | {
            "datatype": "FP32" if item["datatype"] == "FP16" else item["datatype"],
            "data": [None if value != value else value for value in values],
        }
        for item, values in zip(described, columns, strict=True)
    ]
    by_json = v2.decode_call(orjson.dumps({"inputs": listed}), None, wanted).matrix
    by_bytes = v2.decode_call(body, length, wanted).matrix
    assert by_bytes.dtype == by_json.dtype
    assert repr(by_bytes.tolist()) == repr(by_json.tolist())


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_the_short_way_gives_the_matrix_of_the_long_way(data: st.DataObject) -> None:
    cell = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["x", "", 1, 1.0, [1.0]]),
    )
    kinds = data.draw(
        st.lists(st.sampled_from(["FP64", "FP64", "FP32", "INT64", "BOOL", "BYTES"]), min_size=1, max_size=4)
    )
    wanted = signature(*kinds, missing=data.draw(st.booleans()))
    if data.draw(st.booleans()):
        inputs = [
            {
                "name": f"c{n}",
                "datatype": data.draw(st.sampled_from([kind, kind, "FP64", "INT8"])),
                "shape": data.draw(st.sampled_from([[1], [1], [1, 1], [1.0], [True]])),
                "data": [data.draw(cell)],
            }
            for n, kind in enumerate(kinds)
        ]
        inputs = data.draw(st.permutations(inputs))
    else:
        rows = data.draw(st.integers(1, 3))
        shape = [rows, len(kinds)]
        flat = data.draw(st.lists(cell, min_size=rows * len(kinds), max_size=rows * len(kinds)))
        inputs = [{"name": data.draw(st.sampled_from(["x", "c0"])), "datatype": "FP64", "shape": shape, "data": flat}]
    inputs = orjson.loads(orjson.dumps(inputs))
    short = ordinary.read(inputs, plan(wanted))
    if short is not None:
        long = matrix.assemble([tensors.decode(item, n, None) for n, item in enumerate(inputs)], wanted)
        assert (short.dtype, short.shape) == (long.dtype, long.shape)
        assert repr(short.tolist()) == repr(long.tolist())


DOUBLE = {"name": "c0", "datatype": "FP64", "shape": [2]}
ONE, TEXT = signature("FP64"), signature("BYTES")
EIGHT = b"\x00" * 8
REFUSED: dict[str, tuple[Any, ...]] = {
    "too few bytes left": (ONE, DOUBLE, EIGHT, 16, "binary_data_size is 16, but only 8 bytes are left"),
    "another size than the shape's": (ONE, DOUBLE, EIGHT, 8, "has 8 bytes, 2 values of FP64 have 16"),
    "bytes left over": (ONE, DOUBLE, EIGHT * 3, 16, "8 bytes follow the last binary input"),
    "negative size": (ONE, DOUBLE, EIGHT, -1, "binary_data_size is not a whole number"),
    "size of truth": (ONE, DOUBLE, EIGHT, True, "binary_data_size is not a whole number"),
    "data as well": (ONE, DOUBLE | {"data": [1, 2]}, EIGHT * 2, 16, "both data and binary_data_size"),
    "a datatype that is no text": (ONE, DOUBLE | {"datatype": ["FP64"]}, b"0000", 4, "datatype is none of BOOL"),
    "unknown datatype": (ONE, DOUBLE | {"datatype": "BF16"}, b"0000", 4, "datatype is none of BOOL"),
    "huge shape": (ONE, DOUBLE | {"shape": [10**15]}, EIGHT, 8, "has 8 bytes, 1000000000000000 values"),
    "infinite": (ONE, DOUBLE, struct.pack("<2d", 1, np.inf), 16, "input 'c0' is out of range"),
    "truth of two": (signature("BOOL"), DOUBLE | {"datatype": "BOOL"}, b"\x01\x02", 2, "other than 0 and 1"),
    "element cut short": (TEXT, DOUBLE | {"datatype": "BYTES"}, b"\x05\0\0\0abc\0", 8, "ends within element 0 of 2"),
    "length cut short": (TEXT, DOUBLE | {"datatype": "BYTES"}, b"\x03\0\0\0abc\0", 8, "ends within element 1 of 2"),
    "huge element": (TEXT, DOUBLE | {"datatype": "BYTES"}, b"\xff\xff\xff\xffabcd", 8, "ends within element 0"),
    "text too many": (TEXT, DOUBLE | {"datatype": "BYTES"}, b"\0" * 9, 9, "has 1 bytes after its 2 elements"),
    "too few for texts": (TEXT, DOUBLE | {"datatype": "BYTES", "shape": [10**15]}, EIGHT, 8, "too few for"),
    "not UTF-8": (TEXT, DOUBLE | {"datatype": "BYTES", "shape": [1]}, b"\1\0\0\0\xff", 5, "not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bytes_that_are_not_the_tensors_are_refused(case: str) -> None:
    wanted, tensor, content, size, words = REFUSED[case]
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": size}}]}).encode()
    with pytest.raises(RequestError, match=words.replace("[", r"\[")):
        v2.decode_call(head + content, len(head), wanted)


def test_nan_is_a_missing_value() -> None:
    body, length = binary_body([dict(DOUBLE)], [struct.pack("<2d", 1.5, np.nan)])
    assert np.isnan(v2.decode_call(body, length, ONE).matrix[1, 0])
    with pytest.raises(ModelRefusalError, match="does not take missing values"):
        v2.decode_call(body, length, signature("FP64", missing=False))


@pytest.mark.parametrize(
    ("header", "length"), [(None, None), ("0", 0), ("17", 17), ("-1", "bad"), ("1.5", "bad"), ("", "bad"), ("٣", "bad")]
)
def test_the_header_is_a_number_of_bytes(header: str | None, length: Any) -> None:
    if length == "bad":
        with pytest.raises(BadRequestError, match="not a number of bytes"):
            v2.json_length(header)
    else:
        assert v2.json_length(header) == length


def test_a_request_without_json_is_the_only_inputs_values() -> None:
    call = v2.decode_call(struct.pack("<2d", 1.5, 2.5), 0, ONE)
    assert call.matrix.tolist() == [[1.5], [2.5]]
    assert call.binary == {"predict"}
    for wanted, body in ((ONE, EIGHT + b"\0"), (ONE, b""), (signature("FP64", "FP64"), EIGHT), (TEXT, EIGHT)):
        with pytest.raises(BadRequestError):
            v2.decode_call(body, 0, wanted)


OUTPUTS = (
    Output("predict", Datatype.BYTES, 0),
    Output("predict_proba", Datatype.FP64, 2),
    Output("flag", Datatype.BOOL, 0),
    Output("count", Datatype.INT64, 0),
    Output("score", Datatype.FP32, 0),
)
VALUES = {
    "predict": np.array(["Île", ""]),
    "predict_proba": np.array([[0.25, 0.75], [0.5, 0.5]]),
    "flag": np.array([True, False]),
    "count": np.array([-1, 2], dtype=np.int32),
    "score": np.array([0.5, 1.5], dtype=np.float32),
}


def read_answer(answer: Encoded) -> dict[str, Any]:
    """Every output's values, wherever they are, and whether they came as bytes."""
    length = len(answer.body) if answer.json_length is None else answer.json_length
    document, tail = json.loads(answer.body[:length]), answer.body[length:]
    found = {}
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = (output["data"], False)
            continue
        content, tail = tail[:size], tail[size:]
        if output["datatype"] == "BYTES":
            values = []
            while content:
                end = 4 + struct.unpack_from("<I", content)[0]
                values.append(content[4:end].decode())
                content = content[end:]
        else:
            values = np.frombuffer(content, KINDS[output["datatype"]][0]).tolist()
        found[output["name"]] = (values, True)
    assert tail == b""
    return found


@pytest.mark.parametrize("by_default", [None, False, True])
def test_each_output_comes_as_it_was_asked_for(by_default: bool | None) -> None:
    wanted = signature("FP64", outputs=OUTPUTS)
    asked = {"predict": True, "predict_proba": None, "flag": False, "count": True, "score": None}
    outputs = [
        {"name": name} | ({} if own is None else {"parameters": {"binary_data": own}}) for name, own in asked.items()
    ]
    parameters = {} if by_default is None else {"parameters": {"binary_data_output": by_default}}
    body = {"inputs": [{"name": "c0", "datatype": "FP64", "shape": [2], "data": [1, 2]}], "outputs": outputs}
    call = v2.decode_call(json.dumps(body | parameters).encode(), None, wanted)
    computed = [checked(wanted.output[name], VALUES[name]) for name in call.outputs]
    found = read_answer(v2.response("m", call, computed, {}))
    assert list(found) == list(asked)
    for name, own in asked.items():
        assert found[name] == (VALUES[name].ravel().tolist(), bool(by_default) if own is None else own)


def test_an_answer_of_json_has_no_json_length() -> None:
    call = v2.decode_call(b'{"inputs":[{"name":"c0","datatype":"FP64","shape":[1],"data":[1]}]}', None, ONE)
    answer = v2.response("m", call, [checked(ONE.output["predict"], np.array([1.0]))], {})
    assert answer.json_length is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output is neither true nor false"),
        ({"outputs": [{"name": "predict", "parameters": {"binary_data": "yes"}}]}, "binary_data is neither"),
        ({"outputs": [{"name": "predict", "parameters": []}]}, "parameters is not an object"),
        ({"outputs": [{"name": "predict", "parameters": {"classification": 3}}]}, "ask for predict_proba"),
        ({"outputs": [{"name": "predict", "parameters": {"shared_memory_region": "x"}}]}, "shared memory"),
        ({"parameters": {"content_type": ["np"]}}, "content_type is none of datetime, np, pd, str"),
        ({"parameters": {"content_type": "base64"}}, "content_type is none of datetime, np, pd, str"),
    ],
)
def test_parameters_that_cannot_be_followed_are_refused(more: dict[str, Any], words: str) -> None:
    body = {"inputs": [{"name": "c0", "datatype": "FP64", "shape": [1], "data": [1]}]}
    with pytest.raises(BadRequestError, match=words):
        v2.decode_call(json.dumps(body | more).encode(), None, ONE)
