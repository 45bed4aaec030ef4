"""A flood of explain calls leaves predictions nearly all of a core that both want."""

import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import Iterator

import numpy as np
import pytest
from penstock_serving.explain.arrays import export
from penstock_serving.explain.client import ExplainClient
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.limits import Limits
from penstock_serving.explain.setup import Setup
from penstock_serving.explain.starting import Starter
from penstock_serving.protocol.errors import DeadlineError, SaturatedError
from sklearn.ensemble import RandomForestRegressor

from tests.serving_explain.signatures import signature_of

CALLS_PER_SECOND = 500
WINDOW_SECONDS = 1.0
WINDOWS = 5
TOLERATED = 0.2


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """This process, and what it starts, on one core only."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


async def flood(client: ExplainClient, body: bytes, seconds: float) -> list[str]:
    """Ask at a steady rate, whatever becomes of the calls; what became of them."""
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await client.answer_v2(body, None, seconds)
            outcomes.append("answered")
        except (SaturatedError, DeadlineError) as error:
            outcomes.append(type(error).__name__)

    calls = []
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        for _ in range(int(now * CALLS_PER_SECOND) - len(calls)):
            calls.append(asyncio.ensure_future(ask()))
        await asyncio.sleep(0.005)
    await asyncio.gather(*calls)
    return outcomes


def predictions(loop_seconds: float, matrix: np.ndarray, weights: np.ndarray) -> int:
    """How many predictions of a cheap model fit into some seconds."""
    done = 0
    ends = time.monotonic() + loop_seconds
    while time.monotonic() < ends:
        for _ in range(50):
            np.tanh(matrix @ weights)
        done += 50
    return done


async def measured(client: ExplainClient, body: bytes) -> tuple[list[int], list[int], set[str]]:
    """Predictions per window, without and with a flood beside them, in turn; and what became of the flood's calls."""
    matrix, weights = np.ones((1, 20)), np.ones((20, 1))
    alone, flooded, outcomes = [], [], set()
    await client.answer_v2(body, None, 300)
    for _ in range(WINDOWS):
        alone.append(await asyncio.to_thread(predictions, WINDOW_SECONDS, matrix, weights))
        calls = asyncio.ensure_future(flood(client, body, WINDOW_SECONDS))
        flooded.append(await asyncio.to_thread(predictions, WINDOW_SECONDS, matrix, weights))
        outcomes |= set(await calls)
    return alone, flooded, outcomes


@pytest.mark.campaign
def test_a_hundred_trees_of_depth_ten_are_explained_at_a_rate_that_is_told():
    matrix = np.random.default_rng(0).normal(size=(6000, 20))
    target = matrix @ np.arange(20.0) + matrix[:, 0] * matrix[:, 1]
    model = RandomForestRegressor(100, max_depth=10, max_features=0.3, random_state=0).fit(matrix, target)
    data = export(model, signature_of(matrix), matrix[:100])
    assert isinstance(data, bytes), data
    explainer = Explainer(data)
    for rows in (1, 16):
        began = time.process_time()
        found = explainer.explain(matrix[:rows])
        print(f"{rows} rows at once: {rows / (time.process_time() - began):.0f} rows per CPU second")
        sums = found.contributions.sum(axis=1)[:, 0] + found.base_values
        np.testing.assert_allclose(sums, model.predict(matrix[:rows]))


@pytest.mark.campaign
def test_a_flood_of_explain_calls_costs_predictions_less_than_a_fifth():
    matrix = np.random.default_rng(0).normal(size=(1500, 12))
    model = RandomForestRegressor(60, random_state=0, max_depth=12).fit(matrix, matrix @ np.arange(12.0))
    signature = signature_of(matrix)
    data = export(model, signature, matrix[:20])
    assert isinstance(data, bytes), data
    rows = {"name": "x", "datatype": "FP64", "shape": [5, 12], "data": matrix[:5].tolist()}
    body = json.dumps({"inputs": [rows]}).encode()

    async def told() -> tuple[list[int], list[int], set[str]]:
        starter, limits = Starter(), Limits(seconds=300, start_seconds=300)
        client = ExplainClient(Setup("forest", {}, signature, data, None), limits, starter.line(), lambda: True)
        try:
            return await measured(client, body)
        finally:
            await client.close()
            starter.close()

    with one_core():
        alone, flooded, outcomes = asyncio.run(told())
    lost = 1 - statistics.median(flooded) / statistics.median(alone)
    print(f"predictions per window alone {alone}, flooded {flooded}: {lost:.1%} lost; calls were {sorted(outcomes)}")
    assert "SaturatedError" in outcomes
    assert lost < TOLERATED
