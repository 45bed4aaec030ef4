"""A watch is deaf when it does not tell of what a live read has seen."""

from penstock.runtime.hearing import Hearing


def test_a_watch_that_tells_of_what_was_read_is_well() -> None:
    hearing = Hearing()
    hearing.read("Pod", "10", 0.0)
    assert hearing.deaf(5.0) == {"Pod": 5.0}
    hearing.tell("Pod", "9")
    assert hearing.deaf(6.0) == {"Pod": 6.0}
    hearing.tell("Pod", "12")
    assert hearing.deaf(7.0) == {}
    hearing.read("Pod", "11", 8.0)
    assert hearing.deaf(9.0) == {}


def test_deafness_counts_from_the_first_thing_not_heard_of() -> None:
    hearing = Hearing()
    hearing.tell("Pod", "5")
    hearing.read("Pod", "6", 1.0)
    hearing.read("Pod", "9", 50.0)
    hearing.read("Service", "3", 50.0)
    assert hearing.deaf(61.0) == {"Pod": 60.0, "Service": 11.0}


def test_a_watch_that_catches_up_with_a_part_is_deaf_only_to_the_rest() -> None:
    hearing = Hearing()
    hearing.read("Pod", "6", 1.0)
    hearing.read("Pod", "9", 50.0)
    hearing.tell("Pod", "6")
    assert hearing.deaf(61.0) == {}
    hearing.read("Pod", "9", 62.0)
    assert hearing.deaf(63.0) == {"Pod": 1.0}


def test_versions_that_are_no_numbers_say_nothing() -> None:
    hearing = Hearing()
    hearing.read("Pod", "", 0.0)
    hearing.read("Pod", "v1", 0.0)
    assert hearing.deaf(100.0) == {}
