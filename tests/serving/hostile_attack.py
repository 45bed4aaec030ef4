"""Sending hostile requests to a server, and what came of them."""

import asyncio
import contextlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from penstock_serving.protocol import open_inference_pb2 as pb

from tests.serving.hostile_endings import Hostile, conversation
from tests.serving.hostile_parts import GOOD, KINDS, MAX_BODY, PATHS, SECRET, document, mangle, request

AT_ONCE = 24
TRICKLING = 60
ANSWER_SECONDS = 60.0
TAIL_SECONDS = 0.02
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
_NAMED_SECRET = re.compile(rb'"name"\s*:\s*"' + SECRET[:4].encode())  # names are told
_CHUNK_FRAME = re.compile(rb"\r\n[0-9A-Fa-f]+(;[^\r\n]*)?\r\n")  # what may stand within a name
_EXCUSED: dict[int, Callable[[bytes], bool]] = {
    501: lambda content: (
        b"transfer-encoding" in content.lower()
    ),  # a transfer coding that is not offered (RFC 9112, 6.1)
    504: lambda content: b"rq-timeout-ms: " in content.lower() or b"explain" in content.lower(),
}
"""Statuses of 500 and more that are right, and for which requests: 504 where the caller waits for a millisecond only, or
for an explanation, which is made when nothing else wants the CPU."""


class BrokenAnswerError(Exception):
    """Something that is no answer."""


@dataclass
class Outcome:
    """What was sent, by family; what came back, by status; and what must not have (each with what provoked it)."""

    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.sent.total()

    def judge(self, status: int, content: bytes) -> None:
        """Note a status, and whether a request may get it."""
        self.statuses[str(status)] += 1
        excused = _EXCUSED.get(status)
        if status >= 500 and not (excused and excused(content)):
            self.wrong.append((f"status {status}", content))


async def read_answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection goes on; interim answers are passed over."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STATUS.match(head)
        if found is None:
            raise BrokenAnswerError(repr(head[:100]))
        if int(found[1]) >= 200:
            break
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head)
    if length is None:
        raise BrokenAnswerError(repr(head[:200]))
    body = b"" if bodiless else await reader.readexactly(int(length[1]))
    return int(found[1]), body, b"\r\nconnection: close\r\n" not in head


class HttpAttack:
    """Hostile conversations, many at once."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._chance = port, random.Random(seed)
        self._left = 0
        self.outcome = Outcome()

    async def run(self, count: int) -> None:
        """Send so many requests; what is known of them is in `outcome`."""
        self._left = count
        await asyncio.gather(*(self._caller() for _ in range(AT_ONCE)))

    async def _caller(self) -> None:
        while self._left > 0:
            said = conversation(self._chance, self._left)
            self._left -= len(said)
            self.outcome.sent.update(hostile.family for hostile in said)
            await self._converse(said)

    async def _converse(self, said: list[Hostile]) -> None:
        """One connection. It is read to its end but for the fifth of callers who hang up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        try:
            writer.write(b"".join(hostile.content for hostile in said))
            if self._chance.random() < 0.2:
                return
            await self._read(reader, said)
        except ConnectionError:
            pass  # the server has closed on more than it takes
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, said: list[Hostile]) -> None:
        for hostile in said:
            if not hostile.whole:
                await self._read_tail(reader, hostile)
                return
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, body, more = await read_answer(reader)
            except (TimeoutError, BrokenAnswerError, asyncio.IncompleteReadError) as error:
                self.outcome.wrong.append((f"no answer ({type(error).__name__}: {error})", hostile.content))
                return
            self.outcome.judge(status, hostile.content)
            self._look_into(status, body, hostile)
            if not more:
                return

    def _look_into(self, status: int, body: bytes, hostile: Hostile) -> None:
        if status >= 400:
            if SECRET.encode() in body and not _NAMED_SECRET.search(_CHUNK_FRAME.sub(b"", hostile.content)):
                self.outcome.wrong.append(("a caller's value is told", hostile.content))
            told = json.loads(body)
            if told.keys() != {"error"} or not isinstance(told["error"], str) or not 0 < len(told["error"]) < 1500:
                self.outcome.wrong.append(("an error that is not the protocol's", hostile.content))

    async def _read_tail(self, reader: asyncio.StreamReader, hostile: Hostile) -> None:
        """What is said to something that is no request: all of it, or what comes at once."""
        told = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAIL_SECONDS):
                while part := await reader.read(1 << 16):
                    told += part
        if told and not told.startswith(b"HTTP/1.1 "):
            self.outcome.wrong.append(("no HTTP", hostile.content))
        for status in _STATUS.findall(told):
            self.outcome.judge(int(status), hostile.content)


class SlowAttack:
    """Callers who send a few bytes now and then, or never read what they ask for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.outcome = Outcome()

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until told to stop."""
        trickling = (self._trickle(number, stop) for number in range(TRICKLING))
        await asyncio.gather(*trickling, *(self._deaf(stop) for _ in range(8)))

    async def _trickle(self, number: int, stop: asyncio.Event) -> None:
        content = request(b"POST", PATHS["infer"], json.dumps(document()).encode())
        head = content.index(b"\r\n\r\n") + 4
        while not stop.is_set():
            self.outcome.sent["slow"] += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                at = head if number % 3 == 0 else 0
                writer.write(content[:at])
                while not stop.is_set() and not reader.at_eof():
                    writer.write(content[at : at + 2])
                    at = (at + 2) % len(content)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            status, _, _ = await read_answer(reader)
                            self.outcome.judge(status, content)
                            break
                writer.close()
            except (ConnectionError, asyncio.IncompleteReadError):
                continue

    async def _deaf(self, stop: asyncio.Event) -> None:
        question = b"GET /v2/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        while not stop.is_set():
            self.outcome.sent["slow"] += 1
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1)
                writer.write(question * 20)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(45):
                        await stop.wait()
                writer.transport.abort()
            except ConnectionError:
                continue


class GrpcAttack:
    """Messages that are mangled, contradict themselves, or are no messages, over gRPC."""

    METHODS = ("ModelInfer", "ModelInfer", "ModelInfer", "ModelMetadata", "ModelReady", "RepositoryIndex", "Nothing")

    def __init__(self, port: int, seed: int) -> None:
        self._address, self._chance = f"127.0.0.1:{port}", random.Random(seed)
        self.outcome = Outcome()

    async def run(self, count: int) -> None:
        """Make so many calls."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            calls = {name: channel.unary_unary(f"/inference.GRPCInferenceService/{name}") for name in self.METHODS}
            for _ in range(0, count, AT_ONCE):
                await asyncio.gather(*(self._call(calls[self._chance.choice(self.METHODS)]) for _ in range(AT_ONCE)))

    async def _call(self, call: Any) -> None:
        content = hostile_message(self._chance)
        self.outcome.sent["messages"] += 1
        try:
            await call(content, timeout=ANSWER_SECONDS)
            self.outcome.statuses["OK"] += 1
        except grpc.aio.AioRpcError as error:
            name = error.code().name
            self.outcome.statuses[name] += 1
            if name not in {"INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}:
                self.outcome.wrong.append((f"{name}: {error.details()}", content))
            if SECRET in (error.details() or ""):
                self.outcome.wrong.append(("a caller's value is told", content))


def hostile_message(chance: random.Random) -> bytes:
    """A ModelInferRequest with some of it wrong, then perhaps with some of its bytes wrong."""
    message = pb.ModelInferRequest(
        model_name=chance.choice(["fraud"] * 9 + ["other"]), id="x" * chance.choice([0, 1, 300])
    )
    fields = {"FP64": "fp64_contents", "FP32": "fp32_contents", "INT64": "int64_contents", "BOOL": "bool_contents"}
    for name, kind in KINDS.items():
        shape = chance.choice([[1]] * 6 + [[], [0], [-1], [1, 1], [2**62, 2**62], [1, 1, 1]])
        item = message.inputs.add(
            name=chance.choice([name] * 9 + ["", SECRET[:3], "x" * 200]), datatype=kind, shape=shape
        )
        if chance.random() < 0.05:
            item.datatype = chance.choice(["FP16", "", "int64", "UINT8"])
        value = GOOD[name] if chance.random() < 0.9 else chance.choice([0, 1])
        match kind:
            case "BYTES":
                item.contents.bytes_contents.append(chance.choice([b"DE", SECRET.encode(), b"\xff\xfe", b""]))
            case _:
                getattr(item.contents, fields[kind]).append(value)
                if chance.random() < 0.05:
                    item.contents.bool_contents.append(True)
        if chance.random() < 0.05:
            item.parameters["binary_data_size"].int64_param = chance.choice([-1, 2**62])
    for _ in range(chance.choice([0] * 9 + [5, 6])):
        message.raw_input_contents.append(chance.randbytes(chance.choice([0, 8, 100])))
    for _ in range(chance.choice([0] * 6 + [1, 2])):
        message.outputs.add(name=chance.choice(["predict", "predict_proba", "nothing", ""]))
    content = message.SerializeToString()
    if chance.random() < 0.02:
        content += b"\x12" + b"\xff" * (MAX_BODY + 10)
    return mangle(chance, content) if chance.random() < 0.4 else content


class HealthyCaller:
    """Asks an ordinary question again and again on one connection, and wants its answer."""

    def __init__(self, port: int, question: dict[str, Any], wanted: bytes) -> None:
        self._port = port
        self._content = request(b"POST", PATHS["infer"], json.dumps(question).encode())
        self._wanted = wanted
        self.answered = 0
        self.longest = 0.0
        self.wrong: list[bytes] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until told to stop; a connection that breaks is an error of the caller's own task."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not stop.is_set():
            began = time.monotonic()
            writer.write(self._content)
            async with asyncio.timeout(ANSWER_SECONDS):
                status, body, more = await read_answer(reader)
            self.longest = max(self.longest, time.monotonic() - began)
            if status != 200 or not more or self._wanted not in body:
                self.wrong.append(body)
            self.answered += 1
            await asyncio.sleep(0.002)
        writer.close()
