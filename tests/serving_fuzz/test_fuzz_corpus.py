"""What reads requests holds for everything that fuzzing has found worth keeping, and for what is made of it."""

import random

import pytest

from tests.serving.hostile_parts import mangle
from tests.serving_fuzz import corpus
from tests.serving_fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_is_read_rightly(target: str) -> None:
    kept = corpus.read(target)
    for content in kept:
        TARGETS[target](content)
    assert len(kept) > 50


@pytest.mark.parametrize("count", [500, pytest.param(40_000, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_made_of_it_is_read_rightly(target: str, count: int) -> None:
    chance = random.Random(count)
    kept = corpus.read(target)
    for _ in range(count):
        content = mangle(chance, chance.choice(kept) + chance.choice([b"", chance.choice(kept)]))
        try:
            TARGETS[target](content)
        except Exception as error:
            error.add_note(f"of {content!r}")
            raise
