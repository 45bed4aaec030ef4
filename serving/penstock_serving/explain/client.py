"""The server's side of explaining: a queue before one process that lives only while it is needed."""

import asyncio
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from penstock_serving.explain import frames, setup
from penstock_serving.explain.explanation import Explanation
from penstock_serving.explain.frames import Answer, Asks, BrokenFrameError, Question, Says
from penstock_serving.explain.limits import Limits, Priority
from penstock_serving.explain.setup import Setup
from penstock_serving.explain.starting import Line
from penstock_serving.model.frame import Matrix
from penstock_serving.protocol.call import Encoded
from penstock_serving.protocol.errors import (
    DeadlineError,
    NotServingError,
    RequestError,
    SaturatedError,
)

_GRACE_SECONDS = 2.0
_MAX_ANSWER = 1 << 30


class NotExplainedError(RequestError):
    """A model that is not explained, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(501, f"this model is not explained: {reason}")


class _DiedError(Exception):
    """The process ended, or said what cannot be understood; `code` is its exit code."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A question, when its time is up (monotonic seconds), and where its answer goes."""

    kind: Asks
    json_length: int | None
    content: bytes
    deadline: float
    answer: "asyncio.Future[Answer]"


class _Process:
    """A running explaining process and the connection to it."""

    def __init__(self, line: Line, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self._line, self._reader, self._writer = line, reader, writer

    @classmethod
    async def start(cls, line: Line, priority: Priority) -> "_Process":
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                pid = await line.start(theirs.fileno(), priority)
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        return cls(line, pid, reader, writer)

    async def ask(self, question: Question, limit: int, patience_seconds: float) -> Answer:
        """Raises `_DiedError`; a process that does not answer in time is killed first."""
        try:
            async with asyncio.timeout(patience_seconds):
                self._writer.write(frames.pack_question(question))
                await self._writer.drain()
                (length,) = frames.LENGTH.unpack(await self._reader.readexactly(frames.LENGTH.size))
                if length > limit:
                    raise BrokenFrameError("a message is longer than allowed")
                return frames.unpack_answer(await self._reader.readexactly(length))
        except (TimeoutError, EOFError, OSError, BrokenFrameError) as error:
            raise _DiedError(await self.end()) from error

    async def end(self) -> int | None:
        """Close the connection, end the process and return its exit code; None where its starter is gone too."""
        self._writer.close()
        try:
            return await self._line.end()
        except OSError:
            return None


class ExplainClient:
    """Has rows explained by a process of its own, started by `line`; to be used from one event loop.

    The process is started by the first question and ended after `limits.idle_seconds` without one. Questions wait in
    turn; one beyond `limits.waiting` is refused at once. A process that dies costs the question in work, and is
    started again for the next. While `busy` says that the event loop has others to serve, questions begin
    `limits.apart_seconds` after one another.
    """

    def __init__(self, model: Setup, limits: Limits, line: Line, busy: Callable[[], bool]) -> None:
        self._setup, self._limits, self._line, self._busy = model, limits, line, busy
        self._waiting: deque[_Job] = deque()
        self._came = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._process: _Process | None = None
        self._refused: RequestError | None = None
        self._closed = False
        self._in_work = 0
        self.deaths = 0

    @property
    def pid(self) -> int:
        """The process's id; 0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def waiting(self) -> int:
        """Questions that wait behind the one in work."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Questions that wait or are in work."""
        return self.waiting + self._in_work

    @property
    def saturated(self) -> bool:
        """Whether a question would be refused now: to be asked before a body is read."""
        return len(self._waiting) >= self._limits.waiting

    async def explain(self, matrix: Matrix, seconds: float) -> Explanation:
        """Explain rows [rows, columns] within `seconds`.

        Raises `SaturatedError` (429), `DeadlineError` (504), `NotServingError` (503) when the process died,
        `ModelFailureError` (500) when the model's arrays are unusable or the contributions do not add up,
        `NotExplainedError` (501) where the server may start no process, `ModelRefusalError` (400) for a category that
        the model refuses, `RequestError` (413) for too many rows or bytes, or too little memory for them.
        """
        answer = await self._ask(Asks.MATRIX, None, frames.write_matrix(matrix), seconds)
        return frames.read_explanation(answer.content)

    async def answer_v2(self, body: bytes, json_length: int | None, seconds: float) -> Encoded:
        """The answer to a v2 request's body, which the process reads itself; raises as `explain`, and for bad requests
        as `wire.decode_v2`."""
        return frames.body_of(await self._ask(Asks.V2, json_length, body, seconds))

    async def answer_v1(self, body: bytes, seconds: float) -> Encoded:
        """The answer to a v1 request's body; raises as `answer_v2`."""
        return frames.body_of(await self._ask(Asks.V1, None, body, seconds))

    async def close(self) -> None:
        """End the process and refuse what waits."""
        self._closed = True
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        await self._stop()
        while self._waiting:
            _fail(self._waiting.popleft(), NotServingError("this server is stopping"))

    async def _ask(self, kind: Asks, json_length: int | None, content: bytes, seconds: float) -> Answer:
        if self._closed:
            raise NotServingError("this server is stopping")
        if self._refused is not None:
            raise self._refused
        if self.saturated:
            raise SaturatedError(f"{len(self._waiting)} explanations are waited for already; try again shortly")
        if len(content) > self._limits.frame_bytes:
            raise RequestError(413, f"more than {self._limits.frame_bytes} bytes are not explained at once")
        seconds = min(seconds, self._limits.seconds)
        loop = asyncio.get_running_loop()
        job = _Job(kind, json_length, content, time.monotonic() + seconds, loop.create_future())
        self._waiting.append(job)
        self._came.set()
        if self._runner is None or self._runner.done():
            self._runner = loop.create_task(self._run())
        try:
            async with asyncio.timeout(seconds):
                answer = await job.answer
        except TimeoutError as error:
            raise DeadlineError("the explanation was not ready in time") from error
        finally:
            if job in self._waiting:
                self._waiting.remove(job)
        if answer.kind is Says.ERROR:
            raise frames.read_error(answer.content)
        return answer

    async def _run(self) -> None:
        """Answer the questions in turn; end, with the process, when none came for a while."""
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    await self._came.wait()
            except TimeoutError:
                await self._stop()
                if not self._waiting:
                    return
            while self._waiting:
                began = time.monotonic()
                self._in_work = 1
                await self._serve(self._waiting.popleft())
                self._in_work = 0
                if self._busy():
                    await asyncio.sleep(began + self._limits.apart_seconds - time.monotonic())
            self._came.clear()

    async def _serve(self, job: _Job) -> None:
        if job.answer.done():
            return
        try:
            process = await self._started()
            left = job.deadline - time.monotonic()
            if job.answer.done() or left <= 0:
                return
            question = Question(job.kind, left, job.json_length, job.content)
            answer = await process.ask(question, _MAX_ANSWER, left + _GRACE_SECONDS)
        except _DiedError as died:
            self._process = None
            self.deaths += 1
            _fail(job, _said_of(died))
        except RequestError as error:
            _fail(job, error)
        except asyncio.CancelledError:
            _fail(job, NotServingError("this server is stopping"))
            raise
        else:
            if not job.answer.done():
                job.answer.set_result(answer)

    async def _started(self) -> _Process:
        if self._process is not None:
            return self._process
        try:
            process = self._process = await _Process.start(self._line, self._limits.priority)
        except OSError as error:
            raise NotExplainedError(f"this server cannot start a process ({error.strerror or error})") from error
        content = setup.write(self._setup, self._limits)
        ready = await process.ask(Question(Asks.SETUP, 0.0, None, content), _MAX_ANSWER, self._limits.start_seconds)
        if ready.kind is Says.READY:
            return process
        await self._stop()
        self._refused = frames.read_error(ready.content)
        raise self._refused

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.end()


def _fail(job: _Job, error: RequestError) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


def _said_of(died: _DiedError) -> RequestError:
    if died.code == -signal.SIGXCPU:
        return DeadlineError("the explanation took more CPU time than it may; ask for fewer rows")
    return NotServingError("the explaining process ended while it worked on this request; the next one starts it again")
