"""The queue: nothing is lost, nothing is done twice at once, failures come back later and later."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from penstock.reconcile.effects import Queue
from penstock.runtime.backlog import FIRST_DELAY, LONGEST_DELAY, Backlog
from penstock.runtime.keys import Key
from penstock.runtime.queue import WorkQueue

KEYS = [Key(Queue.DEPLOYMENT, "risk", name) for name in ("a", "b", "c")]
ONE, TWO, THREE = KEYS


class BacklogMachine(RuleBasedStateMachine):
    """Any order of adding, waiting, taking and finishing; `owed` are the keys that must still be handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.now = 0.0
        self.owed: set[Key] = set()
        self.due: dict[Key, float] = {}
        self.working: set[Key] = set()

    @rule(key=st.sampled_from(KEYS))
    def add(self, key: Key) -> None:
        self.backlog.add(key, self.now)
        self.owed.add(key)

    @rule(key=st.sampled_from(KEYS), after=st.floats(0.1, 10.0))
    def add_at(self, key: Key, after: float) -> None:
        self.backlog.add_at(key, self.now + after)
        self.due[key] = min(self.now + after, self.due.get(key, float("inf")))

    @rule(seconds=st.floats(0.0, 5.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        ripe = {key for key, due in self.due.items() if due <= self.now}
        self.owed |= ripe
        for key in ripe:
            del self.due[key]
        key = self.backlog.take(self.now)
        if key is None:
            assert self.owed <= self.working
            return
        assert key not in self.working
        assert key in self.owed
        self.owed.discard(key)
        self.due.pop(key, None)
        self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.working.discard(key)
        self.backlog.done(key, self.now)

    @invariant()
    def the_next_time_is_the_earliest(self) -> None:
        ahead = [due for due in self.due.values() if due > self.now]
        found = Backlog.next_due(self.backlog, self.now)
        ripe = {key for key, due in self.due.items() if due <= self.now}
        self.owed |= ripe
        for key in ripe:
            del self.due[key]
        assert found == min(ahead, default=None)


TestBacklog = BacklogMachine.TestCase


def test_keys_are_handed_out_in_the_order_of_waiting() -> None:
    backlog = Backlog()
    for key in (TWO, ONE, TWO):
        backlog.add(key, 1.0)
    assert [backlog.take(2.0), backlog.take(2.0), backlog.take(2.0)] == [TWO, ONE, None]
    assert backlog.longest_work(5.0) == 3.0


def test_what_is_added_while_it_is_worked_on_is_done_once_more_and_not_at_once() -> None:
    backlog = Backlog()
    backlog.add(ONE, 0.0)
    assert backlog.take(0.0) == ONE
    backlog.add(ONE, 0.0)
    backlog.add(ONE, 0.0)
    assert backlog.take(0.0) is None
    backlog.done(ONE, 1.0)
    assert (backlog.depth, backlog.oldest(3.0)) == (1, 2.0)
    assert backlog.take(1.0) == ONE
    backlog.done(ONE, 1.0)
    assert backlog.take(1.0) is None


def test_a_later_time_is_void_when_the_key_is_handed_out_before() -> None:
    backlog = Backlog()
    backlog.add_at(ONE, 10.0)
    backlog.add(ONE, 1.0)
    assert backlog.take(1.0) == ONE
    backlog.done(ONE, 1.0)
    assert backlog.next_due(1.0) is None
    assert backlog.take(20.0) is None


@given(jitter=st.floats(0.0, 0.999))
def test_failures_wait_twice_as_long_each_time_up_to_a_minute(jitter: float) -> None:
    backlog = Backlog()
    waits = [backlog.delay(ONE, jitter) for _ in range(40)]
    assert waits[0] == pytest.approx(FIRST_DELAY * (1 - jitter / 2))
    assert waits[1] == pytest.approx(2 * waits[0])
    assert LONGEST_DELAY / 2 <= waits[-1] <= LONGEST_DELAY
    backlog.succeeded(ONE)
    assert backlog.delay(ONE, jitter) == waits[0]


def test_workers_wait_until_there_is_something_and_share_it() -> None:
    async def run() -> None:
        queue = WorkQueue(time.monotonic)
        taken: list[Key] = []

        async def work() -> None:
            while len(taken) < 3:
                key = await queue.take()
                taken.append(key)
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(2)]
        await asyncio.sleep(0)
        queue.add_after(THREE, 0.05)
        queue.add(ONE)
        queue.add_after(TWO, 0.0)
        async with asyncio.timeout(5):
            while len(taken) < 3:
                await asyncio.sleep(0.01)
        assert taken == [ONE, TWO, THREE]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    asyncio.run(run())
