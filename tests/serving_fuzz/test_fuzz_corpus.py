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
    assert len(kept) > 20


FAILED = {
    "a datatype that is a list, for raw bytes": (
        "v2-binary",
        (
            b'\x01\x5e\x00{"inputs":[{"name":"x","datatype":["FP32"],"shape":[1],"parameters":{"binary_data_size":4}}]}'
            b"    \x00\x00\x00\x00"
        ),
    ),
    "a content type that is a list": (
        "v2",
        b'\x01{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"parameters":{"content_type":[]}}]}',
    ),
    "a signalling NaN as raw bytes": ("v2-binary", b"\x01\x00\x00\x00\x00\xa0\x7f"),
    "a signalling NaN in typed contents": (
        "grpc",
        b"\xa0\n\x05fr\x1a\x01x*\x1e\n\x06amount\x12\x04FP64\x1a\x02\x01\x01*\n:\x08\x00\x10\xff\xff\xff\xff\xf5\xff",
    ),
}


@pytest.mark.parametrize(("target", "content"), FAILED.values(), ids=FAILED)
def test_what_once_failed_is_read_rightly(target: str, content: bytes) -> None:
    TARGETS[target](content)


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
