"""Turns: never more calls at once than there are, each in its time, and for how long all of them last is known."""

import threading
import time
from collections.abc import Callable

import pytest
from penstock_serving.server.turns import Turns


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("most", [1, 3])
def test_never_more_than_there_are_take_a_turn_at_once(most: int) -> None:
    turns = Turns(most)
    inside, seen, lock = [0], set(), threading.Lock()

    def work() -> None:
        for _ in range(50):
            with turns:
                with lock:
                    inside[0] += 1
                    seen.add(inside[0])
                time.sleep(0.0002)
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(seen) == most
    assert turns.held_up_seconds(time.monotonic()) == 0.0


def test_who_waited_longest_is_next_whoever_is_quicker() -> None:
    turns, order = Turns(1), []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    threads = []
    with turns:
        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            wait_for(lambda number=number: len(turns._waiting) == number + 1)
    with turns:
        order.append(-1)
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4, -1]


def test_a_turn_that_raises_is_over() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(KeyError), turns:
            raise KeyError
    assert turns.held_up_seconds(time.monotonic()) == 0.0


def test_all_are_held_up_for_as_long_as_the_youngest_call_and_waiting_is_no_call() -> None:
    turns = Turns(2)
    going, began = threading.Event(), []

    def work() -> None:
        with turns:
            began.append(time.monotonic())
            going.wait(10)

    threads = [threading.Thread(target=work) for _ in range(3)]
    threads[0].start()
    wait_for(lambda: len(began) == 1)
    assert turns.held_up_seconds(began[0] + 5) == 0.0
    threads[1].start()
    wait_for(lambda: len(began) == 2)
    assert turns.held_up_seconds(began[1] + 5) == pytest.approx(5, abs=0.5)
    threads[2].start()
    wait_for(lambda: len(turns._waiting) == 1)
    time.sleep(0.2)
    going.set()
    for thread in threads:
        thread.join(10)
    assert turns.held_up_seconds(time.monotonic()) == 0.0
