"""The explaining process: lazy, bounded, replaced when it dies, and never in the way."""

import asyncio
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from penstock_serving.explain.arrays import export, export_sampled
from penstock_serving.explain.client import ExplainClient, NotExplainedError
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.limits import Limits, Priority
from penstock_serving.explain.setup import Package, Setup
from penstock_serving.explain.starting import Starter
from penstock_serving.jobs.package import package
from penstock_serving.model.files import EXPLAIN_FILE
from penstock_serving.model.load import load_model
from penstock_serving.protocol.errors import (
    BadRequestError,
    DeadlineError,
    ModelFailureError,
    ModelRefusalError,
    NotServingError,
    RequestError,
    SaturatedError,
)
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.serving_explain.signatures import signature_of

PATIENT = Limits(seconds=120.0, start_seconds=120.0, priority=Priority.SHARED)
MATRIX = np.random.default_rng(0).normal(size=(1500, 12))


def patient(**changes) -> Limits:
    return dataclasses.replace(PATIENT, **changes)


@pytest.fixture(scope="module")
def forest() -> Setup:
    """A model of which a thousand rows take many seconds."""
    target = MATRIX @ np.arange(12.0) + MATRIX[:, 0] * MATRIX[:, 1]
    model = RandomForestRegressor(60, random_state=0, max_depth=12).fit(MATRIX, target)
    signature = signature_of(MATRIX)
    data = export(model, signature, MATRIX[:50])
    assert isinstance(data, bytes), data
    return Setup("forest", {"digest": "sha256:0"}, signature, data, None)


@pytest.fixture(scope="module")
def text() -> Setup:
    """A model with a text column of which it refuses what it has not seen."""
    matrix = np.empty((60, 2), dtype=object)
    matrix[:, 0] = np.random.default_rng(0).normal(size=60).tolist()
    matrix[:, 1] = [("red", "green")[number % 2] for number in range(60)]
    before = make_column_transformer((StandardScaler(), [0]), (OneHotEncoder(), [1]))
    model = make_pipeline(before, LogisticRegression()).fit(matrix, np.arange(60) % 3 > 0)
    signature = signature_of(matrix)
    data = export(model, signature, matrix)
    assert isinstance(data, bytes), data
    return Setup("text", {}, signature, data, None)


def run(setup: Setup, limits: Limits, story: Callable[[ExplainClient], Awaitable[None]], *, busy: bool = False) -> None:
    async def told() -> None:
        starter = Starter()
        client = ExplainClient(setup, limits, starter.line(), lambda: busy)
        try:
            await story(client)
        finally:
            pid = client.pid
            await client.close()
            starter.close()
        assert not pid or not Path(f"/proc/{pid}").exists()

    asyncio.run(told())


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_it_is_started_by_the_first_question_and_ends_when_idle(forest):
    async def story(client):
        assert client.pid == 0
        found = await client.explain(MATRIX[:2], 120)
        first = client.pid
        assert first
        np.testing.assert_array_equal(found.contributions, Explainer(forest.data).explain(MATRIX[:2]).contributions)
        await until(lambda: client.pid == 0 and not Path(f"/proc/{first}").exists())
        await client.explain(MATRIX[:1], 120)
        assert client.pid not in {0, first}
        assert client.deaths == 0

    run(forest, patient(idle_seconds=0.3), story)


@pytest.mark.parametrize(
    ("limits", "scheduler", "niceness"), [(Limits(), os.SCHED_IDLE, 19), (PATIENT, os.SCHED_OTHER, None)]
)
def test_by_default_it_runs_only_when_nothing_else_wants_the_cpu(forest, limits, scheduler, niceness):
    async def story(client):
        asked = asyncio.ensure_future(client.explain(MATRIX[:1], 120))
        await until(lambda: client.pid and os.sched_getscheduler(client.pid) == scheduler)
        expected = os.getpriority(os.PRIO_PROCESS, 0) if niceness is None else niceness
        assert os.getpriority(os.PRIO_PROCESS, client.pid) == expected
        asked.cancel()

    run(forest, limits, story)


def test_it_uses_one_thread_and_stays_within_bounds(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        pid = client.pid
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Threads"].strip() == "1"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"
        space, _ = resource.prlimit(pid, resource.RLIMIT_AS)
        mapped = int(status["VmSize"].split()[0]) * 1024
        assert mapped < space < mapped + PATIENT.memory_bytes + (1 << 26)
        cpu, _ = resource.prlimit(pid, resource.RLIMIT_CPU)
        assert 0 < cpu < 125
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "numpy" in maps
        assert not any(f"/{name}/" in maps for name in ("sklearn", "scipy", "pandas", "onnx", "grpc", "numba"))
        assert int(status["VmRSS"].split()[0]) < 80_000

    run(forest, PATIENT, story)


def test_it_takes_no_credentials_from_the_servers_environment(forest, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    async def story(client):
        await client.explain(MATRIX[:1], 120)
        assert b"secret" not in Path(f"/proc/{client.pid}/environ").read_bytes()

    run(forest, PATIENT, story)


def test_its_death_costs_one_question_and_the_next_starts_it_again(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        first = client.pid
        work = asyncio.ensure_future(client.explain(MATRIX[:1000], 120))
        await until(lambda: processor_seconds(first) > 0.2)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(NotServingError, match="ended while it worked"):
            await work
        assert client.deaths == 1
        assert (await client.explain(MATRIX[:1], 120)).contributions.shape == (1, 12, 1)
        assert client.pid != first

    run(forest, PATIENT, story)


def processor_seconds(pid: int) -> float:
    """CPU time that a process has used since the first look at it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used - _began.setdefault(pid, used)


_began: dict[int, float] = {}


def test_too_little_time_is_a_deadline_and_the_next_question_is_answered(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        began = time.monotonic()
        with pytest.raises(DeadlineError):
            await client.explain(MATRIX[:1000], 0.3)
        assert time.monotonic() - began < 30
        assert (await client.explain(MATRIX[:1], 120)).contributions.shape == (1, 12, 1)

    run(forest, PATIENT, story)


def test_a_process_that_says_nothing_is_replaced(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        first = client.pid
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(DeadlineError):
            await client.explain(MATRIX[:1], 0.2)
        assert (await client.explain(MATRIX[:1], 120)).contributions.shape == (1, 12, 1)
        assert client.pid != first
        assert client.deaths == 1

    run(forest, PATIENT, story)


def test_the_kernel_ends_what_computes_on_and_on():
    program = "from penstock_serving.explain import confine\nconfine.limit_cpu(0.1)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", program], timeout=300, check=False)
    assert ended.returncode == -signal.SIGXCPU


def test_more_memory_than_allowed_is_said_and_survived():
    model = LinearRegression().fit(MATRIX, np.hstack([MATRIX, MATRIX]))
    data = export(model, signature_of(MATRIX), MATRIX)
    assert isinstance(data, bytes), data

    async def story(client):
        with pytest.raises(RequestError, match="memory") as refused:
            await client.explain(np.repeat(MATRIX, 10, axis=0), 120)
        assert refused.value.status == 413
        assert (await client.explain(MATRIX[:1], 120)).contributions.shape == (1, 12, 24)
        assert client.deaths == 0

    limits = patient(rows=10**6, frame_bytes=1 << 28, memory_bytes=16 << 20)
    run(Setup("wide", {}, signature_of(MATRIX), data, None), limits, story)


def test_more_rows_than_allowed_are_refused(forest):
    async def story(client):
        with pytest.raises(RequestError, match="at most 3") as refused:
            await client.explain(MATRIX[:4], 120)
        assert refused.value.status == 413

    run(forest, patient(rows=3), story)
    run(forest, patient(frame_bytes=3 * 24 * 12), story)


def test_more_bytes_than_allowed_are_refused_before_they_are_sent(forest):
    async def story(client):
        with pytest.raises(RequestError, match="bytes") as refused:
            await client.answer_v1(bytes(101), 120)
        assert refused.value.status == 413
        assert client.pid == 0

    run(forest, patient(frame_bytes=100), story)


def test_a_full_queue_refuses_at_once_and_loses_no_one(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        os.kill(client.pid, signal.SIGSTOP)
        asked = []
        for number in range(3):
            asked.append(asyncio.ensure_future(client.explain(MATRIX[number : number + 1], 120)))
            await until(lambda number=number: (client.in_flight, client.waiting) == (number + 1, number))
        assert client.saturated
        with pytest.raises(SaturatedError):
            await client.explain(MATRIX[:1], 120)
        os.kill(client.pid, signal.SIGCONT)
        for number, found in enumerate(await asyncio.gather(*asked)):
            expected = Explainer(forest.data).explain(MATRIX[number : number + 1]).contributions
            np.testing.assert_array_equal(found.contributions, expected)
        assert not client.saturated

    run(forest, patient(waiting=2), story)


def test_a_caller_that_goes_away_frees_its_place(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        os.kill(client.pid, signal.SIGSTOP)
        asked = []
        for number in range(2):
            asked.append(asyncio.ensure_future(client.explain(MATRIX[:1], 120)))
            await until(lambda number=number: (client.in_flight, client.waiting) == (number + 1, number))
        assert client.saturated
        asked[1].cancel()
        await until(lambda: not client.saturated)
        asked[0].cancel()
        os.kill(client.pid, signal.SIGCONT)
        assert (await client.explain(MATRIX[:1], 120)).contributions.shape == (1, 12, 1)

    run(forest, patient(waiting=1), story)


def test_bodies_of_both_protocols_are_answered(forest):
    async def story(client):
        rows = MATRIX[:2].tolist()
        body = {"id": "1", "inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 12], "data": rows}]}
        v2 = json.loads((await client.answer_v2(json.dumps(body).encode(), None, 120)).body)
        v1 = json.loads((await client.answer_v1(json.dumps({"instances": rows}).encode(), 120)).body)
        assert v2["id"] == "1"
        assert v2["parameters"]["digest"] == "sha256:0"
        assert v2["outputs"][0]["data"] == np.ravel(v1["explanations"]["contributions"]).tolist()
        with pytest.raises(BadRequestError):
            await client.answer_v2(b"{", None, 120)
        body["outputs"] = [{"name": "contributions", "parameters": {"binary_data": True}}]
        raw = await client.answer_v2(json.dumps(body).encode(), None, 120)
        assert np.frombuffer(raw.body[raw.json_length :], "<f8").tolist() == v2["outputs"][0]["data"]

    run(forest, PATIENT, story)


def test_a_category_that_the_model_refuses_is_refused_by_column(text):
    async def story(client):
        rows = np.array([[0.5, "red"], [np.nan, "blue"]], dtype=object)
        assert (await client.explain(rows[:1], 120)).contributions.shape == (1, 2, 1)
        with pytest.raises(ModelRefusalError) as refused:
            await client.explain(rows[1:], 120)
        assert refused.value.column == 1
        assert "'c1'" in refused.value.message
        assert "blue" not in refused.value.message

    run(text, PATIENT, story)


def test_unusable_arrays_are_said_and_not_tried_again(forest):
    broken = Setup("broken", {}, forest.signature, forest.data[:-40], None)

    async def story(client):
        for _ in range(2):
            with pytest.raises(ModelFailureError, match="cannot be opened"):
                await client.explain(MATRIX[:1], 120)
            assert client.pid == 0

    run(broken, PATIENT, story)


def test_a_package_that_is_not_there_is_said(forest):
    matrix = MATRIX[:, :3]
    data = export_sampled(signature_of(matrix), matrix[:5])
    assert isinstance(data, bytes)
    package = Package("/nowhere", "sha256:" + "0" * 64)

    async def story(client):
        with pytest.raises(ModelFailureError, match="cannot be opened"):
            await client.explain(matrix[:1], 120)

    run(Setup("asked", {}, signature_of(matrix), data, package), PATIENT, story)


def test_a_packaged_model_without_arrays_is_asked_in_its_own_process(tmp_path):
    """Its pickle is opened there, under the filter of system calls that the server opens pickles under."""
    rows = MATRIX[:80, :3]
    model = KNeighborsClassifier(3).fit(rows, np.arange(80) % 2)
    digest = package(model, {f"c{index}": rows[:, index] for index in range(3)}, tmp_path / "model")
    loaded = load_model(tmp_path / "model", digest)
    data = (tmp_path / "model" / EXPLAIN_FILE).read_bytes()
    setup = Setup("asked", {}, loaded.signature, data, Package(str(tmp_path / "model"), digest))

    async def story(client):
        found = await client.explain(rows[:3], 120)
        sums = found.contributions.sum(axis=1) + found.base_values
        np.testing.assert_allclose(sums, model.predict_proba(rows[:3]), rtol=0, atol=1e-6)
        status = Path(f"/proc/{client.pid}/status").read_text()
        assert loaded.backend == "onnx" or "Seccomp:\t2" in status

    run(setup, PATIENT, story)


def test_a_server_that_may_start_no_process_says_so(forest, monkeypatch):
    def refused(*_arguments, **_more):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(subprocess, "Popen", refused)

    async def story(client):
        with pytest.raises(NotExplainedError, match="not permitted") as unexplained:
            await client.explain(MATRIX[:1], 120)
        assert unexplained.value.status == 501

    run(forest, PATIENT, story)


@pytest.mark.parametrize(("busy", "apart", "least", "most"), [(True, 0.1, 0.69, 60.0), (False, 60.0, 0.0, 60.0)])
def test_questions_keep_apart_while_predictions_are_under_way(forest, busy, apart, least, most):
    took: list[float] = []

    async def story(client):
        await client.explain(MATRIX[:1], 120)
        began = time.monotonic()
        await asyncio.gather(*(client.explain(MATRIX[:1], 120) for _ in range(8)))
        took.append(time.monotonic() - began)

    run(forest, patient(apart_seconds=apart), story, busy=busy)
    assert least <= took[0] < most


def test_questions_of_one_caller_keep_apart_as_well(forest):
    took: list[float] = []

    async def story(client):
        await client.explain(MATRIX[:1], 120)
        began = time.monotonic()
        for _ in range(5):
            await client.explain(MATRIX[:1], 120)
        took.append(time.monotonic() - began)

    run(forest, patient(apart_seconds=0.1), story, busy=True)
    assert took[0] > 0.39


def test_closing_refuses_what_waits(forest):
    async def story(client):
        await client.explain(MATRIX[:1], 120)
        os.kill(client.pid, signal.SIGSTOP)
        asked = [asyncio.ensure_future(client.explain(MATRIX[:1], 120)) for _ in range(3)]
        await until(lambda: client.in_flight == 3)
        await client.close()
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, NotServingError)
        with pytest.raises(NotServingError):
            await client.explain(MATRIX[:1], 120)

    run(forest, PATIENT, story)
