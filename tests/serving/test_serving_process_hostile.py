"""Hostile callers: whatever they send, the server answers the others, fails no request of its own, and does not grow."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import pytest
from penstock_serving import contract
from penstock_serving.model.frame import matrix
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.serving.hostile_attack import GrpcAttack, HealthyCaller, HttpAttack, Outcome, SlowAttack
from tests.serving.hostile_endings import ENDING
from tests.serving.hostile_parts import GOOD, MAX_BODY, PATHS, SECRET, document
from tests.serving.hostile_requests import WHOLE

PIECES = 20
GROWTH_BYTES = 4 << 20
"""What may stay of 45,000 requests: 93 bytes for each, which is less than a request's own bytes."""
SWING_BYTES = 16 << 20
"""What memory may ever differ by: it was seen to go up and down by 6 MiB."""


@pytest.fixture(scope="module")
def mixed(pack: Callable[..., Any]) -> Any:
    """A compiled model with a column of every kind."""
    rng = np.random.default_rng(11)
    frame = {
        "amount": rng.normal(size=120),
        "single": rng.normal(size=120).astype(np.float32),
        "count": rng.integers(0, 9, 120),
        "member": rng.random(120) < 0.5,
        "country": rng.choice(np.array(["DE", "FR", "Île"], dtype=object), 120),
    }
    steps = make_column_transformer(("passthrough", [0, 1, 2, 3]), (OneHotEncoder(), [4]))
    labels = np.where(frame["amount"] + frame["count"] > 4, "high", "low")
    return pack(make_pipeline(steps, LogisticRegression()).fit(matrix(frame), labels), frame)


def resident(pid: int) -> int:
    """Bytes in memory that are the process's own, not those of files it maps."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not tell")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Siege:
    """All attacks on one server at once, piece by piece, and a healthy caller meanwhile."""

    def __init__(self, served: Any, grpc_port: int, wanted: bytes, seed: int) -> None:
        self._pid = served.server.pid
        self._http, self._slow = HttpAttack(served.port, seed), SlowAttack(served.port)
        self._grpc = GrpcAttack(grpc_port, seed)
        self.healthy = HealthyCaller(served.port, document(), wanted)
        self.memory: list[int] = []

    async def run(self, count: int) -> None:
        """Send so many requests, a tenth of them over gRPC; look at the memory after each piece."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.healthy.run(stop))
            group.create_task(self._slow.run(stop))
            while self.outcome.total < count:
                piece = min(count // PIECES + 1, count - self.outcome.total)
                await asyncio.gather(self._http.run(piece - piece // 10), self._grpc.run(piece // 10))
                self.memory.append(resident(self._pid))
                print(f"{self.outcome.total} of {count} requests, {self.memory[-1] >> 20} MiB", flush=True)
            stop.set()

    @property
    def outcome(self) -> Outcome:
        """Of all attacks together."""
        together = Outcome()
        for one in (self._http.outcome, self._slow.outcome, self._grpc.outcome):
            together.sent += one.sent
            together.statuses += one.statuses
            together.wrong += one.wrong
        return together


@pytest.mark.parametrize(
    ("count", "seed"), [(2_500, 1), pytest.param(100_000, 2, marks=[pytest.mark.campaign, pytest.mark.timeout(5400)])]
)
def test_hostile_requests_fail_only_themselves(
    count: int, seed: int, mixed: Any, serving: Callable[..., Any], port: Callable[[], int], wait: Callable[..., Any]
) -> None:
    label = mixed.estimator.predict(matrix({name: np.array([value]) for name, value in GOOD.items()}))[0]
    wanted = b'"data":["%b"]' % label.encode()
    grpc_port = port()
    limits = {contract.ENV_MAX_BODY_BYTES: str(MAX_BODY), contract.ENV_GRPC_PORT: str(grpc_port)}
    with serving(mixed, **limits) as served:
        pid = served.server.pid
        idle = open_files(pid)
        siege = Siege(served, grpc_port, wanted, seed)
        asyncio.run(siege.run(count))
        assert served.server.poll() is None, served.log()
        # Nothing is held for callers who are gone, but the pipe to the process that explains.
        wait(lambda: open_files(pid) <= idle + 8)
        wait(lambda: served.metric(served.metrics_port, contract.METRIC_IN_FLIGHT) == 0)
        assert httpx.post(served.url + PATHS["infer"].decode(), json=document()).status_code == 200
        log = served.log()
    outcome, healthy = siege.outcome, siege.healthy
    print(f"sent {outcome.total}: {dict(outcome.sent)}\nanswers {dict(outcome.statuses)}")
    print(f"healthy: {healthy.answered} answers, the slowest after {healthy.longest:.2f} s")
    assert not outcome.wrong, "\n".join(f"{why}: {content[:300]!r}" for why, content in outcome.wrong[:10])
    assert outcome.total >= count
    assert outcome.sent.keys() >= WHOLE.keys() | ENDING.keys() | {"slow", "messages"}
    assert outcome.statuses.keys() >= {"200", "400", "404", "405", "413", "415", "431", "501", "INVALID_ARGUMENT"}
    assert not healthy.wrong
    assert healthy.answered > 100
    if count >= 100_000:
        assert "408" in outcome.statuses
        # The first tenth allocates what is allocated once, for the largest of everything.
        after = siege.memory[PIECES // 10 :]
        # Pages are given back every so often, when the last thing in them happens to go: a single look says little.
        half = len(after) // 2
        assert median(after[half:]) - median(after[:half]) < GROWTH_BYTES, [size >> 20 for size in siege.memory]
        assert max(after) - min(after) < SWING_BYTES, [size >> 20 for size in siege.memory]
    assert "Traceback" not in log
    assert "exception" not in log.lower()
    assert SECRET not in log


def test_callers_who_trickle_keep_nobody_waiting(mixed: Any, serving: Callable[..., Any]) -> None:
    async def work(port: int) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for number, (_, writer) in enumerate(slow):
            writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\n" % PATHS["infer"] if number % 2 else b"P")
        async with httpx.AsyncClient() as client:
            for number in range(50):
                for _, writer in slow:
                    writer.write(b"X: y\r\n" if number % 2 else b"Z: ")
                answer = await client.post(
                    f"http://127.0.0.1:{port}{PATHS['infer'].decode()}", json=document(), timeout=5
                )
                assert answer.status_code == 200
        for _, writer in slow:
            writer.close()

    with serving(mixed) as served:
        asyncio.run(work(served.port))
