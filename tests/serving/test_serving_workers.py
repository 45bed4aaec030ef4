"""Several workers are one server: one port, one set of counters, and a death that callers of the others do not see."""

import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import misbehaving
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import Misbehaving
from penstock_serving import contract
from penstock_serving.model.frame import matrix
from penstock_serving.protocol import open_inference_pb2 as pb
from penstock_serving.server.counts import Counts, total, unpack
from penstock_serving.server.quota import Quota, default_threads, default_workers, read_quota
from penstock_serving.server.shared import Shared
from penstock_serving.server.work import Work

from tests.serving.conftest import model_infer

INFER = "/v2/models/fraud/infer"
MIB = 1 << 20


def workers_of(served: Any) -> list[int]:
    """The processes of the server's workers."""
    assert served.server is not None
    try:
        return [
            int(pid) for pid in Path(f"/proc/{served.server.pid}/task/{served.server.pid}/children").read_text().split()
        ]
    except OSError:
        return []


@pytest.fixture
def body(logistic: Any) -> dict[str, Any]:
    """A request of one row."""
    inputs = [
        {"name": name, "datatype": "FP64", "shape": [1], "data": values[:1].tolist()}
        for name, values in logistic.frame.items()
    ]
    return {"inputs": inputs}


@pytest.fixture
def pair(logistic: Any, make_served: Callable[..., Any], grpc_port: int) -> Iterator[Any]:
    """Two workers and a monitor."""
    served = make_served(logistic, **{contract.ENV_WORKERS: "2", contract.ENV_GRPC_PORT: str(grpc_port)})
    served.start_monitor()
    served.start_server()
    yield served
    served.server.terminate()
    served.server.wait(30)


def ask(served: Any, body: dict[str, Any], times: int) -> None:
    """Right answers, each over a connection of its own, so that any worker may get it."""
    for _ in range(times):
        assert httpx.post(served.url + INFER, json=body).status_code == 200


def answered(served: Any) -> float:
    return served.metric(served.metrics_port, contract.METRIC_REQUESTS, route="infer", code="200")


def ask_by_grpc(port: int, rows: Any, times: int) -> list[str]:
    """The predictions of one row, asked for so often, each time over a connection of its own."""
    found = []
    asked = pb.ModelInferRequest(model_name="fraud")
    for name, values in rows.items():
        contents = pb.InferTensorContents(fp64_contents=values[:1])
        asked.inputs.add(name=name, datatype="FP64", shape=[1], contents=contents)
    for _ in range(times):
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            answer = model_infer(channel)(asked, timeout=30)
        found += [label.decode() for label in answer.outputs[0].contents.bytes_contents]
    return found


def test_whichever_worker_is_asked_the_counters_are_those_of_all(
    pair: Any, body: dict[str, Any], wait: Callable[..., Any]
) -> None:
    wait(lambda: len(workers_of(pair)) == 2)
    ask(pair, body, 60)
    for _ in range(12):
        assert answered(pair) == 60
        assert pair.metric(pair.metrics_port, contract.METRIC_ROWS) == 60
        found = httpx.get(f"{pair.url}/v2/models/fraud/stats").json()["model_stats"][0]
        assert found["inference_count"] == found["inference_stats"]["success"]["count"] == 60
    wait(lambda: pair.metric(pair.monitor_port, contract.METRIC_MONITOR_RECORDS, kind="row") == 60)
    assert pair.metric(pair.monitor_port, contract.METRIC_MONITOR_LOST) == 0


def test_a_worker_that_is_killed_is_replaced_and_what_it_counted_stays(
    pair: Any, body: dict[str, Any], wait: Callable[..., Any]
) -> None:
    wait(lambda: len(workers_of(pair)) == 2)
    ask(pair, body, 30)
    assert answered(pair) == 30
    wait(lambda: pair.metric(pair.monitor_port, contract.METRIC_MONITOR_RECORDS, kind="row") == 30)
    before = workers_of(pair)
    os.kill(before[0], signal.SIGKILL)
    wait(lambda: len(workers_of(pair)) == 2 and workers_of(pair) != before)
    wait(lambda: pair.metric(pair.metrics_port, contract.METRIC_REPLACED) == 1)
    ask(pair, body, 30)
    wait(lambda: answered(pair) == 60)
    wait(lambda: pair.metric(pair.monitor_port, contract.METRIC_MONITOR_RECORDS, kind="row") == 60)


def test_callers_by_grpc_are_answered_by_every_worker_one_that_replaced_another_among_them(
    pair: Any, logistic: Any, grpc_port: int, wait: Callable[..., Any]
) -> None:
    def answered_by_grpc() -> float:
        return pair.metric(pair.metrics_port, contract.METRIC_REQUESTS, route="grpc", code="OK")

    label = list(logistic.estimator.predict(matrix(logistic.frame)[:1]))
    wait(lambda: len(workers_of(pair)) == 2)
    assert ask_by_grpc(grpc_port, logistic.frame, 30) == label * 30
    wait(lambda: answered_by_grpc() == 30)
    first, second = workers_of(pair)
    for killed in (first, second):
        os.kill(killed, signal.SIGKILL)
        wait(lambda killed=killed: len(workers_of(pair)) == 2 and killed not in workers_of(pair))
    wait(lambda: pair.metric(pair.metrics_port, contract.METRIC_REPLACED) == 2)
    assert ask_by_grpc(grpc_port, logistic.frame, 30) == label * 30
    wait(lambda: answered_by_grpc() == 60)


def test_stopping_answers_what_is_open_and_leaves_no_process(
    pair: Any, body: dict[str, Any], wait: Callable[..., Any]
) -> None:
    wait(lambda: len(workers_of(pair)) == 2)
    workers = workers_of(pair)
    with httpx.Client() as caller:
        assert caller.post(pair.url + INFER, json=body).status_code == 200
        pair.server.terminate()
        assert caller.post(pair.url + INFER, json=body).status_code == 200
    assert pair.server.wait(30) == 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_end_with_the_process_that_started_them(pair: Any, wait: Callable[..., Any]) -> None:
    wait(lambda: len(workers_of(pair)) == 2)
    workers = workers_of(pair)
    pair.server.kill()
    pair.server.wait(10)
    wait(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_a_model_that_cannot_be_served_ends_all_with_its_reason(logistic: Any, make_served: Callable[..., Any]) -> None:
    served = make_served(logistic, **{contract.ENV_WORKERS: "3", contract.ENV_MODEL_DIGEST: "sha256:" + "0" * 64})
    assert served.spawn_server().wait(60) == contract.EXIT_BAD_INPUT
    assert json.loads(served.termination_log.read_text())["reason"]


def test_a_model_that_kills_every_worker_ends_the_container(
    pack: Callable[..., Any], make_served: Callable[..., Any]
) -> None:
    frame = {"a": np.linspace(-3, 3, 20), "b": np.ones(20)}
    packaged = pack(Misbehaving().fit(np.column_stack(list(frame.values())), None), frame)
    served = make_served(packaged, **{contract.ENV_WORKERS: "2"})
    served.start_server()
    deadly = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [misbehaving.SEGFAULT, 1.0]}]}
    deadline = time.monotonic() + 60
    while served.server.poll() is None and time.monotonic() < deadline:
        try:
            httpx.post(served.url + INFER, json=deadly, timeout=10)
        except httpx.HTTPError:
            continue
    assert served.server.wait(10) > 0
    assert "the 5th within a minute" in served.log()


@pytest.mark.parametrize(
    ("cpus", "memory", "model", "workers"),
    [
        (float("inf"), float("inf"), 0, 1), (0.5, 2048 * MIB, 0, 1), (1.0, 2048 * MIB, 0, 1), (4.0, 2048 * MIB, 0, 4),
        (4.9, float("inf"), 0, 4), (64.0, float("inf"), 0, 16), (4.0, 512 * MIB, 0, 3), (4.0, 2048 * MIB, 200 * MIB, 2),
        (4.0, 512 * MIB, 900 * MIB, 1),
    ],
)  # fmt: skip
def test_workers_are_as_many_as_cpus_and_memory_hold(cpus: float, memory: float, model: int, workers: int) -> None:
    assert default_workers(Quota(cpus, memory), model) == workers


def test_threads_share_the_cpus_among_workers() -> None:
    cores = len(os.sched_getaffinity(0))
    assert default_threads(Quota(float("inf"), 0.0), 1) == cores
    assert default_threads(Quota(0.25, 0.0), 1) == 1
    assert default_threads(Quota(float(cores), 0.0), cores) == 1


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000", "memory.max": "1073741824"}, Quota(1.5, float(1 << 30))),
        ({"cpu.max": "max 100000", "memory.max": "max"}, Quota(float("inf"), float("inf"))),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, Quota(float("inf"), float("inf"))),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, Quota(2.0, float("inf"))),
        ({}, Quota(float("inf"), float("inf"))),
    ],
)
def test_limits_are_the_cgroups(files: dict[str, str], quota: Quota, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert read_quota(tmp_path) == quota


NUMBERS = st.integers(0, 1 << 40)
SECONDS = st.floats(0, 1e6)


@st.composite
def works(draw: st.DrawFn) -> Work:
    work = Work(succeeded=draw(NUMBERS), failed=draw(NUMBERS), succeeded_seconds=draw(SECONDS))
    for rows in draw(st.lists(st.integers(1, 5000), max_size=5)):
        work.add_call(rows, 0.5)
    return work


COUNTS = st.builds(
    Counts,
    answers=st.dictionaries(
        st.sampled_from(["infer", "grpc"]), st.dictionaries(st.sampled_from(["200", "OK"]), NUMBERS)
    ),
    buckets=st.dictionaries(st.sampled_from(["infer", "grpc"]), st.lists(NUMBERS, min_size=3, max_size=3)),
    seconds=st.dictionaries(st.sampled_from(["infer", "grpc"]), SECONDS),
    rows=NUMBERS,
    work=works(),
)


@given(COUNTS)
def test_counts_are_carried_whole(counts: Counts) -> None:
    assert unpack(counts.pack()) == counts


@given(st.lists(COUNTS, max_size=4))
def test_totals_are_sums(counts: list[Counts]) -> None:
    found = total(counts)
    assert found.rows == sum(one.rows for one in counts)
    assert found.work.calls.total() == sum(one.work.calls.total() for one in counts)
    for route in ("infer", "grpc"):
        for code in ("200", "OK"):
            each = sum(one.answers.get(route, {}).get(code, 0) for one in counts)
            assert found.answers.get(route, {}).get(code, 0) == each


def test_what_was_told_outlives_a_worker_killed_while_it_tells(wait: Callable[..., Any]) -> None:
    shared = Shared(2)
    for round_ in range(1, 6):
        worker = os.fork()
        if not worker:
            for rows in itertools.count(shared.told(1).rows + 1):
                shared.tell(1, Counts(rows=rows, refused={f"rule {at}": rows for at in range(500)}))
        wait(lambda: shared.times(1) >= 20 * round_)  # noqa: B023
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        assert shared.times(1) - 1 <= shared.told(1).rows <= shared.times(1)
        assert set(shared.told(1).refused.values()) == {shared.told(1).rows}
        assert shared.told(0) == Counts()
