"""gRPC without a gRPC library: HTTP/2 in clear text, a server that ends calls with a status a test chooses, a caller."""

import asyncio
import contextlib
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from router_bench.servers import ServerThread

PATH = "/inference.GRPCInferenceService/ModelInfer"
_MESSAGE = b"\0\0\0\0\x02ok"
_LAST = 20


@dataclass(frozen=True)
class Ending:
    """How a call ends: after so many seconds with this status, before any answer (trailers only, with this mark) or after
    a message; `reset` with none."""

    status: int
    trailers_only: bool = True
    mark: str = ""
    delay: float = 0.0
    reset: bool = False


class GrpcServer:
    """One pod that speaks gRPC."""

    def __init__(self, thread: ServerThread, revision: str, ending: Ending) -> None:
        self.revision = revision
        self.ending = ending
        self.total = 0
        self.connections = 0
        """All that were ever opened."""
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._server = thread.call(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self._thread = thread
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def endpoint(self) -> str:
        """As the routing table names it."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """As a killed pod: no listener, every connection reset."""
        self._thread.call(self._close())

    async def _close(self) -> None:
        self._server.close()
        tasks = list(self._connections.values())
        for writer in list(self._connections):
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[writer] = task
        self.connections += 1
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        try:
            while data := await reader.read(2**16):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if isinstance(event, h2.events.StreamEnded):
                        self.total += 1
                        self._thread.loop.call_later(
                            self.ending.delay, self._answer, connection, writer, event.stream_id
                        )
                writer.write(connection.data_to_send())
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            return
        finally:
            del self._connections[writer]
            writer.close()

    def _answer(self, connection: h2.connection.H2Connection, writer: asyncio.StreamWriter, stream: int) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the caller is gone
            self._end(connection, stream)
        if not writer.is_closing():
            writer.write(connection.data_to_send())

    def _end(self, connection: h2.connection.H2Connection, stream: int) -> None:
        if self.ending.reset:
            connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            return
        head = [(":status", "200"), ("content-type", "application/grpc"), ("x-revision", self.revision)]
        status = [("grpc-status", str(self.ending.status))]
        if self.ending.trailers_only and self.ending.status:
            marks = [(self.ending.mark, "1")] if self.ending.mark else []
            connection.send_headers(stream, head + status + marks, end_stream=True)
        else:
            connection.send_headers(stream, head)
            connection.send_data(stream, _MESSAGE)
            connection.send_headers(stream, status, end_stream=True)


async def _give_up(port: int, count: int, patience: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    streams = [_ask(connection, PATH) for _ in range(count)]
    writer.write(connection.data_to_send())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while data := await reader.read(2**16):
                connection.receive_data(data)
                writer.write(connection.data_to_send())
    for stream in streams:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # answered
            connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    writer.write(connection.data_to_send())
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()


async def _give_up_again(port: int, batches: int, calls: int, patience: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    answered: list[int] = []
    for asked, seconds in (*((calls, patience) for _ in range(batches)), (_LAST, 30.0)):
        streams = {_ask(connection, PATH) for _ in range(asked)}
        writer.write(connection.data_to_send())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while streams:
                    data = await reader.read(2**16)
                    assert data, f"closed after {len(answered)} answers"
                    for event in connection.receive_data(data):
                        assert not isinstance(event, h2.events.ConnectionTerminated), event
                        if isinstance(event, h2.events.StreamEnded) and event.stream_id in streams:
                            streams.discard(event.stream_id)
                            answered.append(asked)
                    writer.write(connection.data_to_send())
        for stream in streams:
            connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        writer.write(connection.data_to_send())
    writer.close()
    assert answered.count(_LAST) == _LAST
    return len(answered) - _LAST


async def _settings_of(port: int) -> dict[str, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    _ask(connection, PATH)
    await _ending(connection, reader, writer)
    writer.close()
    told = connection.remote_settings
    return {
        "streams": told.max_concurrent_streams,
        "stream window": told.initial_window_size,
        "connection window": connection.outbound_flow_control_window + len(_MESSAGE),
    }


def _ask(connection: h2.connection.H2Connection, path: str) -> int:
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, [
        (":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "any"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ])  # fmt: skip
    connection.send_data(stream, _MESSAGE, end_stream=True)
    return stream


async def _call(port: int, count: int, path: str) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    statuses: list[int] = []
    for _ in range(count):
        _ask(connection, path)
        statuses.append(await _ending(connection, reader, writer))
    writer.close()
    return statuses


async def _ending(
    connection: h2.connection.H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int:
    status = -1
    while True:
        writer.write(connection.data_to_send())
        for event in connection.receive_data(await reader.read(2**16)):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers = {bytes(name).decode(): bytes(value).decode() for name, value in _raw(event)}
                status = int(headers.get("grpc-status", status))
            if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                return status


def _raw(event: h2.events.ResponseReceived | h2.events.TrailersReceived) -> list[tuple[bytes, bytes]]:
    return [
        (name if isinstance(name, bytes) else name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in event.headers or []
    ]


def call(port: int, count: int, path: str = PATH) -> list[int]:
    """The gRPC status of each of so many calls, one after the other; -1 where there was none."""
    return asyncio.run(_call(port, count, path))


def give_up_again(port: int, batches: int, calls: int, patience: float) -> int:
    """So many times as many calls at once on one connection, each time cancelled after so many seconds, and then some that
    wait for their answers; how many were answered in time of the others. Fails if the connection or one that waits is
    lost."""
    return asyncio.run(_give_up_again(port, batches, calls, patience))


def settings_of(port: int) -> dict[str, int]:
    """What a server says of its connections: streams at once, and bytes ahead of being read."""
    return asyncio.run(_settings_of(port))


def give_up(port: int, count: int, patience: float) -> None:
    """So many calls at once, cancelled after so many seconds, as a client does at its deadline."""
    asyncio.run(_give_up(port, count, patience))
