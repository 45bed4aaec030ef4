"""Every way to ask for a prediction, written and read here by the protocol's text, not by the server's own code."""

import asyncio
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from penstock_serving.protocol import open_inference_pb2 as pb

from tests.serving.conftest import model_infer
from tests.serving.hostile_attack import read_answer
from tests.serving.hostile_parts import request

Frame = dict[str, np.ndarray]
Answers = dict[str, np.ndarray]
INFER, PREDICT = b"/v2/models/fraud/infer", b"/v1/models/fraud:predict"
_DATATYPES = {"float64": "FP64", "float32": "FP32", "int64": "INT64", "bool": "BOOL", "object": "BYTES"}
_RAW = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "BOOL": "?"}
_CONTENTS = {
    "FP64": "fp64_contents", "FP32": "fp32_contents", "INT64": "int64_contents", "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}  # fmt: skip
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Way:
    """How rows are asked about: over HTTP by content and its reading, or over gRPC by message and its reading."""

    name: str
    takes: Callable[[Frame], bool]
    write: Callable[[Frame, Sequence[str]], Any]
    read: Callable[[Any], Answers]


def _datatype(values: np.ndarray) -> str:
    return _DATATYPES[str(values.dtype)]


def _plain(values: np.ndarray) -> list[Any]:
    """Values as JSON tells them: what is missing is null."""
    return [None if value is None or value != value else value for value in values.tolist()]


def _bytes_of(values: np.ndarray) -> bytes:
    if values.dtype == object:
        encoded = [value.encode() for value in values.tolist()]
        return b"".join(_LENGTH.pack(len(content)) + content for content in encoded)
    return values.astype(_RAW[_datatype(values)]).tobytes()


def _array(datatype: str, shape: Sequence[int], values: Any) -> np.ndarray:
    if datatype == "BYTES":
        return np.array(values, dtype=object).reshape(shape)
    return np.array(values, dtype=_RAW[datatype]).reshape(shape)


def _of_bytes(datatype: str, shape: Sequence[int], content: bytes) -> np.ndarray:
    if datatype != "BYTES":
        return np.frombuffer(content, dtype=_RAW[datatype]).reshape(shape)
    texts, at = [], 0
    while at < len(content):
        (size,) = _LENGTH.unpack_from(content, at)
        texts.append(content[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(texts, dtype=object).reshape(shape)


# REST


def _inputs(rows: Frame) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": _datatype(values), "shape": [len(values)], "data": _plain(values)}
        for name, values in rows.items()
    ]


def _named(wanted: Sequence[str], **parameters: Any) -> list[dict[str, Any]]:
    return [{"name": name} | ({"parameters": parameters} if parameters else {}) for name in wanted]


def _by_name(rows: Frame, wanted: Sequence[str]) -> bytes:
    return request(b"POST", INFER, json.dumps({"inputs": _inputs(rows), "outputs": _named(wanted)}).encode())


def _shuffled(rows: Frame, wanted: Sequence[str]) -> bytes:
    """Columns in another order, of shape [rows, 1]."""
    inputs = [item | {"shape": [*item["shape"], 1]} for item in reversed(_inputs(rows))]
    return request(b"POST", INFER, json.dumps({"inputs": inputs, "outputs": _named(wanted[::-1])}).encode())


def _by_position(rows: Frame, wanted: Sequence[str]) -> bytes:
    table = np.stack(list(rows.values()), axis=1)
    data = [_plain(row) for row in table]
    tensor = {"name": "rows", "datatype": _datatype(table), "shape": list(table.shape), "data": data}
    return request(b"POST", INFER, json.dumps({"inputs": [tensor], "outputs": _named(wanted)}).encode())


def _binary_in(rows: Frame, wanted: Sequence[str], **more: Any) -> bytes:
    inputs, tail = [], b""
    for name, values in rows.items():
        raw = _bytes_of(values)
        described = {"name": name, "datatype": _datatype(values), "shape": [len(values)]}
        inputs.append(described | {"parameters": {"binary_data_size": len(raw)}})
        tail += raw
    head = json.dumps({"inputs": inputs, "outputs": _named(wanted)} | more).encode()
    return request(b"POST", INFER, head + tail, b"Inference-Header-Content-Length: %d" % len(head))


def _binary(rows: Frame, wanted: Sequence[str]) -> bytes:
    return _binary_in(rows, wanted, parameters={"binary_data_output": True})


def _binary_out(rows: Frame, wanted: Sequence[str]) -> bytes:
    asked = {"inputs": _inputs(rows), "outputs": _named(wanted, binary_data=True)}
    return request(b"POST", INFER, json.dumps(asked).encode())


def _instances(rows: Frame, _wanted: Sequence[str]) -> bytes:
    table = [list(row) for row in zip(*(_plain(values) for values in rows.values()), strict=True)]
    return request(b"POST", PREDICT, json.dumps({"instances": table}).encode())


def _instances_by_name(rows: Frame, _wanted: Sequence[str]) -> bytes:
    columns = {name: _plain(values) for name, values in rows.items()}
    count = len(next(iter(columns.values())))
    table = [{name: values[at] for name, values in columns.items()} for at in range(count)]
    return request(b"POST", PREDICT, json.dumps({"instances": table}).encode())


def _read_v2(body: bytes) -> Answers:
    """JSON, with raw bytes after it where outputs say so."""
    document, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    document, tail, found = json.loads(body[:end]), body[end:], {}
    for output in document["outputs"]:
        datatype, shape = output["datatype"], output["shape"]
        if "data" in output:
            found[output["name"]] = _array(datatype, shape, output["data"])
            continue
        size = output["parameters"]["binary_data_size"]
        found[output["name"]], tail = _of_bytes(datatype, shape, tail[:size]), tail[size:]
    assert not tail
    return found


def _read_v1(body: bytes) -> Answers:
    return {"": np.array(json.loads(body)["predictions"])}


# gRPC


def _message(rows: Frame, wanted: Sequence[str]) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="fraud")
    for name, values in rows.items():
        message.inputs.add(name=name, datatype=_datatype(values), shape=[len(values)])
    for name in wanted:
        message.outputs.add(name=name)
    return message


def _typed(rows: Frame, wanted: Sequence[str]) -> pb.ModelInferRequest:
    message = _message(rows, wanted)
    for item, values in zip(message.inputs, rows.values(), strict=True):
        plain = [value.encode() for value in values.tolist()] if values.dtype == object else values.tolist()
        getattr(item.contents, _CONTENTS[item.datatype]).extend(plain)
    return message


def _raw(rows: Frame, wanted: Sequence[str]) -> pb.ModelInferRequest:
    message = _message(rows, wanted)
    message.raw_input_contents.extend(_bytes_of(values) for values in rows.values())
    return message


def _read_message(answer: pb.ModelInferResponse) -> Answers:
    found = {}
    for number, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            found[output.name] = _of_bytes(output.datatype, output.shape, answer.raw_output_contents[number])
            continue
        values = list(getattr(output.contents, _CONTENTS[output.datatype]))
        if output.datatype == "BYTES":
            values = [value.decode() for value in values]
        found[output.name] = _array(output.datatype, output.shape, values)
    return found


def _always(_rows: Frame) -> bool:
    return True


def _has_no_null(rows: Frame) -> bool:
    """Whether every missing value is a number: raw and typed contents can tell no other."""
    return not any(value is None for values in rows.values() if values.dtype == object for value in values)


def _is_a_table(rows: Frame) -> bool:
    return len({values.dtype for values in rows.values()}) == 1 and next(iter(rows.values())).dtype != object


REST = (
    Way("JSON by name", _always, _by_name, _read_v2),
    Way("JSON in another order", _always, _shuffled, _read_v2),
    Way("JSON by position", _is_a_table, _by_position, _read_v2),
    Way("binary in", _has_no_null, _binary_in, _read_v2),
    Way("binary in and out", _has_no_null, _binary, _read_v2),
    Way("binary out", _always, _binary_out, _read_v2),
    Way("v1 by position", _always, _instances, _read_v1),
    Way("v1 by name", _always, _instances_by_name, _read_v1),
)
GRPC = (
    Way("gRPC, typed contents", _has_no_null, _typed, _read_message),
    Way("gRPC, raw contents", _has_no_null, _raw, _read_message),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows and how they were asked about, with the answers by output (of v1, the only one, under an empty name)."""

    way: str
    rows: Frame
    answers: Answers


class WrongAnswerError(AssertionError):
    """An answer other than 200."""


class Asker:
    """Asks one server in every way. `wanted` are the names of all outputs."""

    def __init__(self, port: int, grpc_port: int, wanted: Sequence[str]) -> None:
        self._port, self._address, self._wanted = port, f"127.0.0.1:{grpc_port}", tuple(wanted)

    async def each_way(self, rows: Frame) -> list[Asked]:
        """All rows in one request, in every way that takes them."""
        return await self._ask([(way, rows) for way in (*REST, *GRPC) if way.takes(rows)], at_once=1)

    async def together(self, rows: Sequence[Frame], spoiler: bytes, chance: random.Random) -> list[Asked]:
        """Each of the rows' frames in a request of its own, all at once, in ways chosen at random.

        Between them are requests that are refused.
        """
        asked = [(chance.choice([way for way in (*REST, *GRPC) if way.takes(one)]), one) for one in rows]
        return await self._ask(asked, at_once=12, spoiler=spoiler)

    async def _ask(self, asked: list[tuple[Way, Frame]], *, at_once: int, spoiler: bytes = b"") -> list[Asked]:
        rest = [(way, rows) for way, rows in asked if way in REST]
        over_grpc = [(way, rows) for way, rows in asked if way in GRPC]
        calls = [self._over_http(rest[at : at + at_once], spoiler) for at in range(0, len(rest), at_once)]
        found = await asyncio.gather(*calls, self._over_grpc(over_grpc))
        return [one for several in found for one in several]

    async def _over_http(self, asked: list[tuple[Way, Frame]], spoiler: bytes) -> list[Asked]:
        """One connection on which every request is sent before an answer is read."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        writer.write(b"".join(way.write(rows, self._wanted) + spoiler for way, rows in asked))
        found = []
        for way, rows in asked:
            status, body, _ = await read_answer(reader)
            if status != 200:
                raise WrongAnswerError(f"{way.name}: {status} {body[:300]!r}")
            found.append(Asked(way.name, rows, way.read(body)))
            if spoiler and (refused := (await read_answer(reader))[0]) != 400:
                raise WrongAnswerError(f"a wrong request got {refused}")
        writer.close()
        return found

    async def _over_grpc(self, asked: list[tuple[Way, Frame]]) -> list[Asked]:
        if not asked:
            return []
        async with grpc.aio.insecure_channel(self._address) as channel:
            call = model_infer(channel)
            answers = await asyncio.gather(*(call(way.write(rows, self._wanted), timeout=60) for way, rows in asked))
        return [Asked(way.name, rows, way.read(answer)) for (way, rows), answer in zip(asked, answers, strict=True)]


def slices(rows: Frame, count: int) -> list[Frame]:
    """The first rows, each as a frame of its own."""
    return [{name: values[at : at + 1] for name, values in rows.items()} for at in range(count)]
