"""From calls to outputs: at once when idle, together while busy, each as if it were alone, and no later than in time."""

import asyncio
import functools
import threading
from collections import Counter
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
from penstock_serving.protocol.errors import DeadlineError, ModelFailureError, NotServingError, SaturatedError
from penstock_serving.server.admission import BURST_SECONDS, INTERVAL_SECONDS, TARGET_SECONDS, Admission
from penstock_serving.server.batch import MAX_ROWS, MAX_TASKS
from penstock_serving.server.dispatch import Dispatcher, Limits
from penstock_serving.server.refusals import Refusals

BAD, ENDLESS = -1.0, -2.0
LIMITS = Limits(threads=1, in_flight=1000, timeout_seconds=5.0)


class Arithmetic:
    """A model of one column: `predict` doubles, `transform` adds one. It can be held up, and remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.going = threading.Event()
        self.going.set()
        self.entered = threading.Event()

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return self._seen(matrix)[:, 0] * 2

    def transform(self, matrix: np.ndarray) -> np.ndarray:
        return self._seen(matrix) + 1

    def _seen(self, matrix: np.ndarray) -> np.ndarray:
        self.calls.append(matrix[:, 0].tolist())
        self.entered.set()
        assert self.going.wait(30)
        if BAD in matrix:
            raise KeyError(BAD)
        return np.where(matrix == ENDLESS, np.inf, matrix)

    def model(self, *, rows_independent: bool = True) -> Model:
        outputs = (Output("predict", Datatype.FP64, 0), Output("transform", Datatype.FP64, 1))
        columns = (Column("a", Datatype.FP64, True, False, (), ()),)
        signature = Signature(columns, outputs, (), (), Versions("3", "1", "2", "1"))
        methods = {"predict": self.predict, "transform": self.transform}
        return Model(methods, signature, Golden(b"", ()), "", "test", rows_independent=rows_independent)


def call(*values: float, outputs: tuple[str, ...] = ("predict",)) -> Call:
    return Call(np.array(values)[:, None], outputs, "")


class Desk:
    """A dispatcher, its model, and what the monitor was told."""

    def __init__(self, limits: Limits, *, rows_independent: bool) -> None:
        self.arithmetic = Arithmetic()
        self.told: list[float] = []
        self.dispatcher = Dispatcher(
            self.arithmetic.model(rows_independent=rows_independent),
            limits,
            lambda observed: self.told.extend(observed[:, 0].tolist()),
        )

    def submit(self, made: Call, patience: float = 60.0) -> "asyncio.Future[Any]":
        future = self.dispatcher.submit(made, patience)
        assert isinstance(future, asyncio.Future)
        return future

    async def busy(self) -> "asyncio.Future[Any]":
        """Hold the model up in a call on 0."""
        self.arithmetic.going.clear()
        self.arithmetic.entered.clear()
        first = self.submit(call(0.0))
        await asyncio.to_thread(self.arithmetic.entered.wait, 5)
        return first


def run(
    work: Callable[[Desk], Coroutine[Any, Any, None]], limits: Limits = LIMITS, *, rows_independent: bool = True
) -> None:
    async def with_desk() -> None:
        desk = Desk(limits, rows_independent=rows_independent)
        try:
            await work(desk)
        finally:
            desk.arithmetic.going.set()
            desk.dispatcher.close()

    uvloop.run(with_desk())


def test_a_request_that_finds_the_model_idle_is_computed_alone_at_once() -> None:
    async def work(desk: Desk) -> None:
        for value in (1.0, 2.0, 3.0):
            computed = await desk.submit(call(value))
            assert computed.outputs[0].array.tolist() == [value * 2]
        assert desk.arithmetic.calls == [[1.0], [2.0], [3.0]]

    run(work)


def test_what_arrives_while_the_model_is_busy_is_computed_together() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        others = [desk.submit(call(float(n), n + 0.5)) for n in range(1, 11)]
        desk.arithmetic.going.set()
        await first
        for n, other in enumerate(others, 1):
            assert (await other).outputs[0].array.tolist() == [n * 2.0, n * 2.0 + 1]
        assert len(desk.arithmetic.calls) == 2

    run(work)


def test_a_model_whose_rows_depend_on_one_another_is_never_given_two_requests_at_once() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        others = [desk.submit(call(float(n), 7.0)) for n in range(5)]
        desk.arithmetic.going.set()
        await asyncio.gather(first, *others)
        assert desk.arithmetic.calls == [[0.0], *([float(n), 7.0] for n in range(5))]

    run(work, rows_independent=False)


def test_no_call_is_larger_than_the_cap_unless_one_request_is() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        sizes = [200, 100, 10, MAX_ROWS + 50, 5, 5]
        others = [desk.submit(call(*[float(size)] * size)) for size in sizes]
        many = [desk.submit(call(1.0)) for _ in range(MAX_TASKS * 2)]
        desk.arithmetic.going.set()
        await asyncio.gather(first, *others, *many)
        rows = [len(values) for values in desk.arithmetic.calls]
        assert [size for size in rows if size > MAX_ROWS] == [MAX_ROWS + 50]
        assert sum(rows) == 1 + sum(sizes) + MAX_TASKS * 2

    run(work)


ROWS = st.lists(st.floats(0, 100), min_size=1, max_size=40)
OUTPUTS = st.sampled_from([("predict",), ("transform",), ("predict", "transform"), ("transform", "predict")])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ROWS, OUTPUTS, st.sampled_from([None, None, None, BAD, ENDLESS])), min_size=1, max_size=30))
def test_batched_or_not_every_request_gets_its_own_answer(
    asked: list[tuple[list[float], tuple[str, ...], float | None]],
) -> None:
    """Whatever is asked at once: good requests get their rows' outputs in their order, bad ones fail alone."""

    async def work(desk: Desk) -> None:
        first = await desk.busy()
        futures = []
        for values, outputs, spoiler in asked:
            futures.append(desk.submit(call(*values, *([] if spoiler is None else [spoiler]), outputs=outputs)))
        desk.arithmetic.going.set()
        await first
        results = await asyncio.gather(*futures, return_exceptions=True)
        told = Counter([0.0])
        for (values, outputs, spoiler), result in zip(asked, results, strict=True):
            if spoiler == BAD:
                assert isinstance(result, KeyError)
            elif spoiler == ENDLESS:
                assert isinstance(result, ModelFailureError)
            else:
                told.update(values)
                expected = {"predict": [value * 2 for value in values], "transform": [[value + 1] for value in values]}
                assert [output.name for output in result.outputs] == list(outputs)
                for output in result.outputs:
                    assert output.array.tolist() == expected[output.name]
                if "predict" in outputs:
                    assert result.predictions.tolist() == expected["predict"]
        assert Counter(desk.told) == told
        assert desk.dispatcher.in_flight == 0

    run(work)


def test_one_bad_request_among_many_costs_few_calls() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        others = [desk.submit(call(BAD if n == 37 else float(n))) for n in range(64)]
        desk.arithmetic.going.set()
        await first
        results = await asyncio.gather(*others, return_exceptions=True)
        assert [n for n, result in enumerate(results) if isinstance(result, KeyError)] == [37]
        assert len(desk.arithmetic.calls) <= 1 + 1 + 2 * 6

    run(work)


def test_what_is_late_fails_in_time_and_is_never_computed() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        patient = desk.submit(call(1.0))
        late = [desk.submit(call(2.0), patience=patience) for patience in (0.15, 0.05, 0.1)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        for future in late:
            with pytest.raises(DeadlineError):
                await future
        assert loop.time() - began < 2
        assert desk.dispatcher.in_flight == 2
        desk.arithmetic.going.set()
        await asyncio.gather(first, patient)
        assert desk.arithmetic.calls == [[0.0], [1.0]]
        assert desk.dispatcher.in_flight == 0

    run(work)


def test_what_was_begun_and_is_late_fails_in_time_and_is_not_told_to_the_monitor() -> None:
    async def work(desk: Desk) -> None:
        desk.arithmetic.going.clear()
        with pytest.raises(DeadlineError):
            await desk.submit(call(1.0), patience=0.05)
        assert desk.dispatcher.in_flight == 1
        desk.arithmetic.going.set()
        await desk.submit(call(2.0))
        assert desk.told == [2.0]
        assert desk.dispatcher.in_flight == 0

    run(work)


def test_what_nobody_waits_for_is_never_computed() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        given_up = desk.submit(call(1.0))
        given_up.cancel()
        desk.arithmetic.going.set()
        await first
        await desk.submit(call(2.0))
        assert desk.arithmetic.calls == [[0.0], [2.0]]
        assert desk.dispatcher.in_flight == 0

    run(work)


def test_a_model_that_does_not_return_is_stuck_and_recovers() -> None:
    async def work(desk: Desk) -> None:
        desk.arithmetic.going.clear()
        with pytest.raises(DeadlineError):
            await desk.submit(call(1.0))
        await asyncio.sleep(0.1)
        assert desk.dispatcher.stuck(asyncio.get_running_loop().time() + 1)
        with pytest.raises(NotServingError):
            desk.submit(call(2.0))
        desk.arithmetic.going.set()
        async with asyncio.timeout(5):
            while desk.dispatcher.in_flight:
                await asyncio.sleep(0.01)
        assert (await desk.submit(call(3.0))).outputs[0].array.tolist() == [6.0]

    run(work, Limits(threads=1, in_flight=10, timeout_seconds=0.1))


def test_beyond_the_cap_requests_are_refused_at_once() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        others = [desk.submit(call(1.0)) for _ in range(2)]
        with pytest.raises(SaturatedError):
            desk.submit(call(1.0))
        desk.arithmetic.going.set()
        await asyncio.gather(first, *others)
        await desk.submit(call(1.0))

    run(work, Limits(threads=1, in_flight=3, timeout_seconds=5.0))


def test_the_work_done_is_accounted_for() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        others = [desk.submit(call(1.0, 2.0)) for _ in range(3)]
        bad = desk.submit(call(BAD, outputs=("transform",)))
        desk.arithmetic.going.set()
        await asyncio.gather(first, *others, bad, return_exceptions=True)
        found = desk.dispatcher.work.statistics()
        assert (found.inferences, found.executions) == (7, 2)
        assert (found.success.count, found.fail.count, found.queue.count) == (4, 1, 5)
        assert {rows: span.count for rows, span in found.batches.items()} == {1: 1, 6: 1}

    run(work)


@pytest.mark.parametrize(
    ("seconds", "at_once", "waiting", "admitted"),
    [
        (0.0, 1, 900, True),  # nothing was computed yet
        (0.001, 1, 100, True),  # a burst of a tenth of a second
        (0.001, 1, 300, False),
        (0.001, 64, 300, True),  # five batches
        (3.0, 1, 3, True),  # a few are always let in
        (3.0, 1, 4, False),
        (0.0001, 64, 999, True),
        (0.0001, 64, 1000, False),  # the cap
    ],
)
def test_admission_is_by_the_time_that_waiting_takes(
    seconds: float, at_once: int, waiting: int, admitted: bool
) -> None:
    admission = Admission(1, at_once, 1000)
    admission.ended(seconds, at_once)
    assert admission.admits(waiting, waiting, 0.0) is admitted


def test_a_queue_that_stays_long_is_shortened_until_it_is_short() -> None:
    admission = Admission(1, 1, 1000)
    admission.ended(0.001, 1)
    between = int((TARGET_SECONDS + BURST_SECONDS) / 2 / 0.001)
    admission.began(TARGET_SECONDS * 1.5, 10.0)
    assert admission.admits(between, between, 10.0 + INTERVAL_SECONDS / 2)
    assert not admission.admits(between, between, 10.0 + INTERVAL_SECONDS * 2)
    assert admission.admits(10, 10, 10.0 + INTERVAL_SECONDS * 2)
    admission.began(TARGET_SECONDS / 2, 11.0)
    assert admission.admits(between, between, 11.0)


def test_what_is_computed_as_fast_as_it_is_refused_is_not_refused() -> None:
    admission = Admission(1, 64, 1000)
    admission.ended(64 * 20e-6, 64)
    admission.began(TARGET_SECONDS * 1.5, 10.0)
    assert admission.admits(999, 999, 10.0 + INTERVAL_SECONDS * 2)


def test_refusals_are_paced_and_all_given() -> None:
    async def work() -> None:
        refusals = Refusals()
        given: list[int] = []
        for number in range(2000):
            refusals.turn_away(functools.partial(given.append, number))
        assert 0 < len(given) < 100
        async with asyncio.timeout(5):
            while len(given) < 2000:
                await asyncio.sleep(0.01)
        assert given == list(range(2000))
        refusals.turn_away(functools.partial(given.append, -1))
        assert given[-1] == -1

    uvloop.run(work())


def test_a_full_batch_is_given_ahead_to_a_busy_thread_but_what_is_late_in_it_is_not_computed() -> None:
    async def work(desk: Desk) -> None:
        first = await desk.busy()
        late = [desk.submit(call(1.0), patience=0.05) for _ in range(MAX_TASKS // 2)]
        patient = [desk.submit(call(2.0)) for _ in range(MAX_TASKS // 2)]
        results = await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(result, DeadlineError) for result in results)
        desk.arithmetic.going.set()
        await asyncio.gather(first, *patient)
        assert desk.arithmetic.calls == [[0.0], [2.0] * (MAX_TASKS // 2)]
        assert desk.dispatcher.in_flight == 0

    run(work)
