"""Under a CPU quota explaining works less while the container is throttled, and more again when it is not."""

from pathlib import Path

import pytest
from penstock_serving.explain.pace import Pace, throttled


class Clock:
    """Time that passes by work and by sleep, told apart."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def write(stat: Path, periods: int) -> None:
    stat.write_text(f"usage_usec 1\nnr_periods 99\nnr_throttled {periods}\nthrottled_usec 5\n")


def test_it_does_not_rest_where_nothing_is_throttled(tmp_path):
    clock, stat = Clock(), tmp_path / "cpu.stat"
    write(stat, 7)
    pace = Pace(stat, clock, clock.sleep)
    for _ in range(50):
        clock.work(0.11)
        pace.rest()
    assert clock.slept == 0


def test_it_works_a_tenth_of_the_time_while_throttling_goes_on(tmp_path):
    clock, stat = Clock(), tmp_path / "cpu.stat"
    write(stat, 0)
    pace = Pace(stat, clock, clock.sleep)
    for number in range(200):
        write(stat, number + 1)
        clock.work(0.05)
        pace.rest()
    assert pace.share == pytest.approx(0.1)
    began, slept = clock.now, clock.slept
    for number in range(200):
        write(stat, number + 1000)
        clock.work(0.05)
        pace.rest()
    assert 1 - (clock.slept - slept) / (clock.now - began) < 0.15


def test_it_works_all_the_time_again_when_throttling_has_ended(tmp_path):
    clock, stat = Clock(), tmp_path / "cpu.stat"
    write(stat, 0)
    pace = Pace(stat, clock, clock.sleep)
    for number in range(10):
        write(stat, number + 1)
        clock.work(0.11)
        pace.rest()
    assert pace.share == pytest.approx(0.1)
    for _ in range(20):
        clock.work(0.11)
        pace.rest()
    assert pace.share == 1.0


def test_waiting_for_a_question_is_not_work(tmp_path):
    clock, stat = Clock(), tmp_path / "cpu.stat"
    write(stat, 0)
    pace = Pace(stat, clock, clock.sleep)
    write(stat, 1)
    clock.work(100.0)
    pace.begin()
    clock.work(0.01)
    pace.rest()
    assert (clock.slept, pace.share) == (0, 1.0)


@pytest.mark.parametrize("content", [None, "", "usage_usec 5\n"])
def test_where_nothing_is_told_nothing_is_throttled(tmp_path, content):
    stat = tmp_path / "cpu.stat"
    if content is not None:
        stat.write_text(content)
    assert throttled(stat) == 0
    assert throttled(None) == 0
