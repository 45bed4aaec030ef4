"""Callers who are refused an explanation, and ask anew as soon as they are, do not keep the server busy with refusing."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penstock_serving.explain.starting import Starter
from penstock_serving.model.load import Golden, of_estimator
from penstock_serving.protocol.call import Encoded
from penstock_serving.protocol.errors import SaturatedError
from penstock_serving.server.explaining import Explaining
from penstock_serving.server.identity import Identity
from sklearn.linear_model import LinearRegression

from tests.serving_explain.signatures import signature_of

SECONDS = 0.4


class Full:
    """A queue that has no room."""

    async def answer_v2(self, body: bytes, json_length: int | None, seconds: float) -> Encoded:
        raise SaturatedError("9 explanations are waited for already; try again shortly")


def refused(monkeypatch: pytest.MonkeyPatch, callers: int, body: bytes) -> int:
    """How often so many callers, who never pause, are refused within a while."""
    matrix = np.array([[0.0], [1.0]])
    model = of_estimator(LinearRegression().fit(matrix, [0, 1]), signature_of(matrix), Golden(b"", ()), "sha256:x")
    identity = Identity("m", "m-1", "sha256:x")
    explaining = Explaining(identity, model, Path("nowhere"), Starter().line(), lambda: True)
    monkeypatch.setattr(explaining, "_asked", Full)
    count = 0

    async def call(ask: Callable[..., Any]) -> None:
        nonlocal count
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends and count < 5_000:
            with pytest.raises(SaturatedError):
                await ask(body, None, 1.0)
            count += 1
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(call(explaining.answer_v2) for _ in range(callers)))

    asyncio.run(all_of_them())
    return count


def test_a_refusal_comes_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, 16, b"{}") <= 16 * 2


def test_nobody_is_held_beyond_what_may_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(monkeypatch, 4, b"x" * 100_000) > 100
    assert refused(monkeypatch, 300, b"{}") > 256 * 2
