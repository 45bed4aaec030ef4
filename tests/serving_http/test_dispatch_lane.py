"""The dispatcher with a lane: ordinary requests go by it, what it leaves is Python's, and each is answered once."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.load import Golden, Model
from penstock_serving.model.signature import Column, Output, Signature, Versions
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import DeadlineError, NotServingError, SaturatedError
from penstock_serving.server.dispatch import LANE_BYTES, Dispatcher, Limits
from penstock_serving.server.engine import Computed
from penstock_serving.server.lane.queue import Lane
from penstock_serving.server.task import Task

LIMITS = Limits(threads=1, in_flight=1000, timeout_seconds=5.0)


class Native:
    """A lane that answers when it is told to: numbers by `native N`, everything else not at all."""

    def __init__(self) -> None:
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.waiting: list[tuple[bytes, Any]] = []
        self._done: list[tuple[bytes, Any]] = []
        self.woken = 0
        self.holds = False
        self.closed: list[float] = []
        self.seconds = 1e-5

    def fileno(self) -> int:
        return self._ready

    def offer(self, body: bytes, token: Any) -> None:
        self.waiting.append((body, token))

    def wake(self) -> None:
        self.woken += 1
        if not self.holds:
            self.go()

    def go(self, count: int | None = None) -> None:
        """Finish the first `count` of what waits, or all."""
        count = len(self.waiting) if count is None else count
        self._done, self.waiting = self._done + self.waiting[:count], self.waiting[count:]
        os.eventfd_write(self._ready, 1)

    def take(self) -> tuple[Any, ...]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._ready)
        done, self._done = self._done, []
        bodies = [b"native %b" % body if body.isdigit() else None for body, _ in done]
        rows = [0 if body is None else 1 for body in bodies]
        told = [(float(body), 0.5) for body, _ in done if body.isdigit()]
        calls = [(sum(rows), self.seconds)] if told else []
        times = (len(done), 0.0, 0.0, 1e-6, self.seconds if told else 0.0, 1e-6, self.seconds)
        rounds = [times] if done else []
        return [token for _, token in done], bodies, rows, np.array(told).tobytes(), calls, rounds

    def close(self, seconds: float) -> bool:
        self.closed.append(seconds)
        self.waiting.clear()
        return True

    def __del__(self) -> None:
        os.close(self._ready)


class Request(Task):
    """A request whose number is its body."""

    def __init__(self, desk: "Desk", body: bytes, *, size: int = 1) -> None:
        super().__init__(size, body)
        self._desk, self._body = desk, body
        self.answer: bytes | None = None
        self.finished = 0
        self.listening = True

    @property
    def done(self) -> bool:
        return self.finished > 0

    def wanted(self) -> bool:
        return not self.over and self.listening

    def read(self) -> Call:
        return Call(np.array([[float(self._body.strip(b"x"))]]), ("predict",), "")

    def write(self, call: Call, computed: Computed) -> None:
        self.answer = b"python %d" % computed.outputs[0].array[0]

    def answered(self, body: bytes) -> None:
        self.answer = body
        self.finish()

    def finish(self) -> None:
        assert self.over
        self.finished += 1
        self._desk.finished.append(self)


class Desk:
    """A dispatcher with a lane; what its model was asked, what the monitor was told."""

    def __init__(self, limits: Limits) -> None:
        self.native = Native()
        self.told: list[float] = []
        self.calls: list[list[float]] = []
        self.finished: list[Request] = []
        self.seconds = 0.0
        columns = (Column("a", Datatype.FP64, True, False, (), ()),)
        signature = Signature(columns, (Output("predict", Datatype.FP64, 0),), (), (), Versions("3", "1", "2", "1"))
        model = Model({"predict": self._predict}, signature, Golden(b"", ()), "", "test", rows_independent=True)
        lane: Lane[Task] = Lane(self.native, 1)
        self.dispatcher = Dispatcher(model, limits, lambda rows: self.told.extend(rows[:, 0].tolist()), lane)

    def _predict(self, matrix: np.ndarray) -> np.ndarray:
        self.calls.append(matrix[:, 0].tolist())
        time.sleep(self.seconds)
        return matrix[:, 0]

    def ask(self, body: bytes, patience: float = 60.0, *, size: int = 1) -> Request:
        request = Request(self, body, size=size)
        self.dispatcher.offer(request, patience)
        return request

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def idle(self) -> None:
        await self.until(lambda: not self.dispatcher.in_flight)


def run(work: Callable[[Desk], Coroutine[Any, Any, None]], limits: Limits = LIMITS) -> None:
    async def with_desk() -> None:
        desk = Desk(limits)
        try:
            await work(desk)
        finally:
            desk.dispatcher.close()

    uvloop.run(with_desk())


def test_ordinary_requests_are_answered_by_the_lane_alone() -> None:
    async def work(desk: Desk) -> None:
        requests = [desk.ask(b"%d" % number) for number in range(10)]
        await desk.idle()
        assert [request.answer for request in requests] == [b"native %d" % number for number in range(10)]
        assert desk.calls == []
        assert desk.told == [float(number) for number in range(10)]
        # what arrives in the same moment is one waking
        assert desk.native.woken == 1

    run(work)


def test_what_the_lane_leaves_is_computed_in_python_in_its_order_and_before_what_came_later() -> None:
    async def work(desk: Desk) -> None:
        desk.native.holds = True
        left = [desk.ask(b"%dx" % number) for number in range(5)]
        await desk.until(lambda: desk.native.woken)
        desk.native.go()
        await desk.idle()
        assert [request.answer for request in left] == [b"python %d" % number for number in range(5)]
        assert [value for call in desk.calls for value in call] == [0, 1, 2, 3, 4]
        assert desk.told == [0, 1, 2, 3, 4]

    run(work)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40), st.randoms())
def test_every_request_is_answered_once_and_told_once(asked: list[tuple[bool, bool, int]], chance: Any) -> None:
    """Ordinary or not, listened to or hung up, in whatever portions the lane returns them."""

    async def work(desk: Desk) -> None:
        desk.native.holds = True
        requests = []
        for number, (ordinary, listening, pause) in enumerate(asked):
            requests.append(desk.ask(b"%d" % number if ordinary else b"%dx" % number))
            requests[-1].listening = listening
            if pause == 0:
                desk.native.go(chance.randint(0, len(desk.native.waiting)))
                await asyncio.sleep(0)
        desk.native.holds = False
        desk.native.go()
        await desk.idle()
        for number, (request, (ordinary, listening, _)) in enumerate(zip(requests, asked, strict=True)):
            wanted = b"native %d" if ordinary else b"python %d"
            if listening:
                assert (request.answer, request.finished) == (wanted % number, 1)
            else:
                assert request.finished <= 1
        assert sorted(desk.told) == [number for number, (_, listening, _) in enumerate(asked) if listening]
        found = desk.dispatcher.work.statistics()
        heard = sum(listening for _, listening, _ in asked)
        assert found.success.count == heard
        assert found.success.count + found.fail.count == found.queue.count <= len(asked)
        assert found.inferences == sum(ordinary or listening for ordinary, listening, _ in asked)

    run(work)


def test_what_is_late_on_the_lane_gets_one_deadline_error_and_is_not_told() -> None:
    async def work(desk: Desk) -> None:
        desk.native.holds = True
        late = [desk.ask(b"1", 0.05), desk.ask(b"2x", 0.05)]
        patient = [desk.ask(b"3"), desk.ask(b"4x")]
        await desk.until(lambda: all(request.done for request in late))
        assert all(isinstance(request.error, DeadlineError) for request in late)
        assert desk.dispatcher.in_flight == 4
        desk.native.go()
        await desk.idle()
        assert [request.finished for request in (*late, *patient)] == [1, 1, 1, 1]
        assert [request.answer for request in (*late, *patient)] == [None, None, b"native 3", b"python 4"]
        assert desk.told == [3, 4]
        assert desk.calls == [[4]]
        found = desk.dispatcher.work.statistics()
        assert (found.success.count, found.fail.count) == (2, 1)

    run(work)


def test_what_the_lane_left_keeps_its_deadline() -> None:
    async def work(desk: Desk) -> None:
        desk.seconds = 0.3
        first = desk.ask(b"0x")
        await desk.until(lambda: desk.calls)
        late = desk.ask(b"1x", 0.05)
        await desk.until(lambda: late.done)
        assert isinstance(late.error, DeadlineError)
        assert not first.done
        await desk.idle()
        assert (first.finished, late.finished, desk.calls) == (1, 1, [[0]])

    run(work)


def test_a_lane_that_does_not_return_is_stuck_and_recovers() -> None:
    async def work(desk: Desk) -> None:
        desk.native.holds = True
        lost = desk.ask(b"1")
        await desk.until(lambda: lost.done)
        assert isinstance(lost.error, DeadlineError)
        await desk.until(lambda: desk.dispatcher.stuck(time.monotonic()))
        with pytest.raises(NotServingError):
            desk.ask(b"2")
        with pytest.raises(NotServingError):
            desk.ask(b"3x")
        assert desk.dispatcher.in_flight == 1
        desk.native.holds = False
        desk.native.go()
        await desk.idle()
        assert not desk.dispatcher.stuck(time.monotonic() + 100)
        again = desk.ask(b"4")
        await desk.idle()
        assert again.answer == b"native 4"

    run(work, Limits(threads=1, in_flight=10, timeout_seconds=0.1))


def test_a_lane_that_nobody_asks_is_not_stuck() -> None:
    async def work(desk: Desk) -> None:
        await asyncio.sleep(0.15)
        desk.native.holds = True
        request = desk.ask(b"1")
        assert not desk.dispatcher.stuck(time.monotonic())
        desk.native.go()
        await desk.idle()
        assert request.answer == b"native 1"

    run(work, Limits(threads=1, in_flight=10, timeout_seconds=0.1))


def test_beyond_the_cap_requests_are_refused_whichever_way_the_others_went() -> None:
    async def work(desk: Desk) -> None:
        desk.native.holds = True
        held = [desk.ask(b"1"), desk.ask(b"2x"), desk.ask(b"3")]
        with pytest.raises(SaturatedError):
            desk.ask(b"4")
        desk.native.go(2)
        await desk.until(lambda: held[0].done and held[1].done)
        assert desk.dispatcher.in_flight == 1
        more = desk.ask(b"5")
        desk.native.go()
        await desk.idle()
        assert more.answer == b"native 5"

    run(work, Limits(threads=1, in_flight=3, timeout_seconds=5.0))


def test_what_the_lane_leaves_does_not_make_the_model_look_fast() -> None:
    """A slow model is refused for by the time that its own answers take, however fast they are found to be unusual."""

    async def work(desk: Desk) -> None:
        desk.seconds = 0.3
        first = desk.ask(b"0x")
        await desk.until(lambda: first.done)
        desk.seconds = 0.0
        for number in range(4):
            desk.ask(b"%dx" % number)
        with pytest.raises(SaturatedError):
            desk.ask(b"4x")
        await desk.idle()

    run(work)


def test_a_slow_lane_is_saturated_as_a_slow_model_is() -> None:
    async def work(desk: Desk) -> None:
        desk.native.seconds = 0.3
        desk.ask(b"1")
        await desk.idle()
        desk.native.holds = True
        for number in range(4):
            desk.ask(b"%d" % number)
        with pytest.raises(SaturatedError):
            desk.ask(b"5")
        desk.native.go()
        await desk.idle()

    run(work)


def test_the_work_of_both_ways_is_accounted_for() -> None:
    async def work(desk: Desk) -> None:
        for number in range(4):
            desk.ask(b"%d" % number)
        desk.ask(b"5x")
        await desk.idle()
        found = desk.dispatcher.work.statistics()
        assert (found.inferences, found.executions) == (5, 2)
        assert (found.success.count, found.fail.count, found.queue.count) == (5, 0, 5)
        assert {rows: span.count for rows, span in found.batches.items()} == {1: 1, 4: 1}

    run(work)


def test_large_bodies_are_not_offered_to_the_lane() -> None:
    async def work(desk: Desk) -> None:
        large, largest = desk.ask(b"1", size=LANE_BYTES + 1), desk.ask(b"2", size=LANE_BYTES)
        await desk.idle()
        assert (large.answer, largest.answer) == (b"python 1", b"native 2")

    run(work)


def test_after_closing_nothing_is_taken_from_the_lane() -> None:
    async def work(desk: Desk) -> None:
        desk.native.holds = True
        request = desk.ask(b"1")
        await desk.until(lambda: desk.native.woken)
        desk.native.go()
        desk.dispatcher.close()
        assert len(desk.native.closed) == 1
        await asyncio.sleep(0.05)
        assert (request.finished, request.over, desk.told) == (0, True, [])

    run(work)
