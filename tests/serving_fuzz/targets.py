"""What is fuzzed: the code that reads what callers send, each with what must hold for any bytes.

Every target takes bytes and raises `AssertionError`, or whatever it came upon, when something does not hold. None needs a
network, a model or a clock.
"""

import asyncio
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol import matrix, ordinary, tensors, v1, v2
from penstock_serving.protocol import open_inference_pb2 as pb
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import RequestError
from penstock_serving.protocol.plan import plan
from penstock_serving.rpc import messages
from penstock_serving.server.http.connection import Connection
from penstock_serving.server.http.exchange import Exchange
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import Listener

_VERSIONS = Versions("3.11.0", "1.9.1", "2.4.6", "1.5.3")
_OUTPUTS = (Output("predict", Datatype.BYTES, 0), Output("predict_proba", Datatype.FP64, 2))
_BYTES_OF_A_CALL = 1 << 16


def _signature(*columns: Column) -> Signature:
    return Signature(columns, _OUTPUTS, ("high", "low"), (), _VERSIONS)


def _column(name: str, datatype: Datatype, *, missing: bool = False, **more: Any) -> Column:
    return Column(
        name, datatype, missing, more.get("unseen", False), (), more.get("categories", ()), more.get("bounds")
    )


SIGNATURES = (
    _signature(*(_column(f"c{number}", Datatype.FP64) for number in range(3))),
    _signature(_column("x", Datatype.FP32, missing=True)),
    _signature(
        _column("amount", Datatype.FP64, missing=True, bounds=(-10.0, 10.0)),
        _column("single", Datatype.FP32),
        _column("count", Datatype.INT64),
        _column("member", Datatype.BOOL),
        _column("country", Datatype.BYTES, categories=("DE", "Île")),
        _column("note", Datatype.BYTES, missing=True, unseen=True),
    ),
)
"""Numbers alone; one column, missing values allowed; a column of every kind."""


def _check_call(call: Call, signature: Signature) -> None:
    """A call that was let through is one that the model takes."""
    rows, columns = call.matrix.shape
    assert rows > 0
    assert columns == len(signature.columns)
    assert set(call.outputs) <= signature.output.keys()
    assert call.outputs
    assert call.binary <= set(call.outputs)
    wanted = np.object_ if not signature.is_numeric else np.float32 if signature.has_single_precision else np.float64
    assert call.matrix.dtype == wanted
    for column, cells in zip(signature.columns, call.matrix.T, strict=True):
        for cell in cells.tolist():
            _check_cell(cell, column, kept_apart=not signature.is_numeric)


def _check_cell(cell: Any, column: Column, *, kept_apart: bool) -> None:
    if cell is None or cell != cell:
        assert column.takes_missing
    elif column.is_text:
        assert type(cell) is str
        assert column.takes_unseen or not column.categories or cell in column.categories
    else:
        assert np.isfinite(cell)
        if column.bounds is not None:
            assert column.bounds[0] <= cell <= column.bounds[1]
        if column.datatype is Datatype.INT64:
            assert cell == int(cell)
            assert abs(cell) < 2**53
        if kept_apart:
            kinds = {Datatype.BOOL: bool, Datatype.INT64: int}
            assert type(cell) is kinds.get(column.datatype, float)


def _check_refusal(error: RequestError) -> None:
    assert 400 <= error.status < 500
    assert 0 < len(error.message) < 4000


def _decoded(decode: Callable[[], Call], signature: Signature) -> Call | RequestError:
    """What came of reading a request: nothing but a call that is right, or an error of the caller's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call = decode()
        except RequestError as error:
            _check_refusal(error)
            return error
    _check_call(call, signature)
    return call


def read_v2(data: bytes) -> None:
    """The first byte chooses the signature, the rest is JSON. The short way gives what the long way gives."""
    signature = SIGNATURES[data[0] % len(SIGNATURES)] if data else SIGNATURES[0]
    body = data[1:_BYTES_OF_A_CALL]
    found = _decoded(lambda: v2.decode_call(body, None, signature), signature)
    if isinstance(found, Call):
        inputs = v2.parse_json(body)["inputs"]
        short = ordinary.read(inputs, plan(signature))
        if short is not None:
            read = [tensors.decode(item, position, None) for position, item in enumerate(inputs)]
            np.testing.assert_array_equal(short, matrix.assemble(read, signature))


def read_v2_binary(data: bytes) -> None:
    """The first byte chooses the signature, two bytes tell how much of the rest is JSON; raw tensors follow it."""
    signature = SIGNATURES[data[0] % len(SIGNATURES)] if data else SIGNATURES[0]
    length, body = int.from_bytes(data[1:3], "little"), data[3:_BYTES_OF_A_CALL]
    _decoded(lambda: v2.decode_call(body, length, signature), signature)


def read_v1(data: bytes) -> None:
    """The first byte chooses the signature, the rest is JSON."""
    signature = SIGNATURES[data[0] % len(SIGNATURES)] if data else SIGNATURES[0]
    _decoded(lambda: v1.decode_call(data[1:_BYTES_OF_A_CALL], signature), signature)


def read_grpc(data: bytes) -> None:
    """The first byte chooses the signature, the rest is a message."""
    signature = SIGNATURES[data[0] % len(SIGNATURES)] if data else SIGNATURES[0]
    try:
        request = pb.ModelInferRequest.FromString(data[1:_BYTES_OF_A_CALL])
    except DecodeError:
        return
    _decoded(lambda: messages.decode_call(request, signature), signature)


# A connection

_LIMITS = HttpLimits(
    body=2_000, bodies=4_000, head=1 << 20, headers=12, target=200, outstanding=64, linger_bytes=1 << 20
)


class _Transport(asyncio.Transport):
    """What a connection writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class _Handler:
    """Notes what was read, and answers at once."""

    def __init__(self) -> None:
        self.read: list[tuple[object, ...]] = []

    def handle(self, exchange: Exchange) -> None:
        """Note a request."""
        assert len(exchange.body) <= _LIMITS.body
        assert len(exchange.target) <= _LIMITS.target
        assert b"\r" not in exchange.target + exchange.method
        self.read.append(
            (exchange.method, exchange.target, sorted(exchange.headers.items()), exchange.body, exchange.path)
        )
        exchange.answer(b"HTTP/1.1 200 OK\r\n", b"")

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Note a refusal."""
        assert error.status in {400, 408, 413, 414, 417, 429, 431, 501}
        self.read.append((error.status,))
        exchange.answer(b"HTTP/1.1 %d No\r\n" % error.status, b"")


def _told(pieces: Sequence[bytes]) -> tuple[list[tuple[object, ...]], bool]:
    """What a connection makes of bytes that arrive in these pieces, and whether it then goes on."""
    handler = _Handler()
    listener = Listener(handler, _LIMITS)
    listener.tail = listener.closing_tail = b"content-length: "
    transport = _Transport()
    connection = Connection(listener)
    connection.connection_made(transport)
    for piece in pieces:
        if transport.closed:
            break
        connection.data_received(piece)
    answers = transport.written.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").count(b"HTTP/1.1 ")
    assert answers == len(handler.read)
    goes_on = not transport.closed
    connection.connection_lost(None)
    assert listener.budget.held == 0
    assert listener.connections == 0
    return handler.read, goes_on


def read_http(data: bytes) -> None:
    """Bytes mean the same in however many pieces they arrive; nothing is held afterwards."""
    if not data:
        return
    content, seed = data[1:8_000], data[0]
    wanted = _told([content])
    size = 1 + seed % 61
    assert _told([content[at : at + size] for at in range(0, len(content), size)]) == wanted
    middle = len(content) * seed // 256
    assert _told([content[:middle], content[middle:]]) == wanted


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "http": read_http,
    "v2": read_v2,
    "v2-binary": read_v2_binary,
    "v1": read_v1,
    "grpc": read_grpc,
}
