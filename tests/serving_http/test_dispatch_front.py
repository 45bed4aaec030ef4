"""The dispatcher beside a front: both together take no more than can be answered soon, and either may be stuck."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import uvloop
from penstock_serving.protocol.call import Call
from penstock_serving.protocol.errors import NotServingError, SaturatedError
from penstock_serving.server.dispatch import Dispatcher, Limits

from tests.serving_http.test_server_dispatch import Arithmetic

LIMITS = Limits(threads=1, in_flight=8, timeout_seconds=5.0)


class Front:
    """What the dispatcher asks of a front, as told."""

    room = True
    held_up_seconds = 0.0

    def admits(self) -> bool:
        return self.room


def run(work: Callable[[Dispatcher, Front], Coroutine[Any, Any, None]]) -> None:
    async def within() -> None:
        front = Front()
        dispatcher = Dispatcher(Arithmetic().model(rows_independent=True), LIMITS, lambda _: None, front)
        try:
            await work(dispatcher, front)
        finally:
            dispatcher.close()

    uvloop.run(within())


async def ask(dispatcher: Dispatcher) -> list[float]:
    async with asyncio.timeout(10):
        computed = await dispatcher.submit(Call(np.array([[3.0]]), ("predict",), ""), 60.0)
    found: list[float] = computed.outputs[0].array.tolist()
    return found


def test_what_the_front_hands_over_for_want_of_room_is_refused() -> None:
    async def work(dispatcher: Dispatcher, front: Front) -> None:
        assert await ask(dispatcher) == [6.0]
        front.room = False
        with pytest.raises(SaturatedError):
            await ask(dispatcher)
        assert dispatcher.in_flight == 0
        front.room = True
        assert await ask(dispatcher) == [6.0]

    run(work)


def test_a_front_whose_threads_hang_makes_the_server_stuck_until_they_return() -> None:
    async def work(dispatcher: Dispatcher, front: Front) -> None:
        front.held_up_seconds = 4.9
        assert not dispatcher.stuck(time.monotonic())
        front.held_up_seconds = 5.1
        assert dispatcher.stuck(time.monotonic())
        with pytest.raises(NotServingError):
            await ask(dispatcher)
        front.held_up_seconds = 0.0
        assert not dispatcher.stuck(time.monotonic())
        assert await ask(dispatcher) == [6.0]

    run(work)
