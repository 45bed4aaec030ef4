"""Pulling over real HTTP from the real ledger's journal."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from penstock.evidence.agents import Agents, UnreachableError
from penstock.evidence.following import ReleaseName
from penstock.evidence.puller import PROMPTLY, Puller
from penstock.judge.criteria import Criteria
from penstock.router.http import Request, Response, serve
from penstock.router.journal import Journal, Page
from penstock.router.ledger import Row, Tick
from penstock.router.routing import Role
from penstock.router.tally import Tally
from penstock.world import Pod

MODEL = ("risk", "fraud")
STARTED = datetime.fromtimestamp(1_795_500_000, UTC)
NAME = ReleaseName("fraud", "fraud-2", STARTED, "fraud-2@start")


def pod(name: str, address: str = "127.0.0.1") -> Pod:
    return Pod(name, name, "", address, "Running", True, False, STARTED, "", "", "")


def tick(time: float, failed: int = 0) -> Tick:
    rows = tuple(
        Row("fraud", NAME.mark, 4, role, revision, 10.0, (), Tally(requests=requests, errors=errors))
        for role, revision, requests, errors in (
            (Role.CANDIDATE, "fraud-2", 5, failed),
            (Role.STABLE, "fraud-1", 45, 0),
        )
    )
    return Tick(time, "boot", rows, {})


def ledger_of(journal: Journal, complete_until: Callable[[], float]) -> Callable[[Request], Awaitable[Response]]:
    """Answers as the agent does."""

    async def answer(request: Request) -> Response:
        if request.path == "/state":
            model = {"uid": "u1", "epoch": 4, "live": True, "endpoints": {"stable": 2, "candidate": 1}}
            told = {"tableProblem": None, "models": {"fraud": model}, "keptBack": {"spam": "a bad part"}}
            return Response(200, json.dumps(told))
        since = request.query["since"]
        page = Page((), journal.cursor, gap=False) if since == "now" else journal.page(since, request.query["model"])
        headers = {
            "x-penstock-cursor": page.cursor,
            "x-penstock-complete-until": f"{complete_until():.3f}",
            "x-penstock-gap": "true" if page.gap else "false",
        }
        return Response(200, "".join(line + "\n" for line in page.lines), headers=headers)

    return answer


@asynccontextmanager
async def serving(handler: Callable[[Request], Awaitable[Response]]):
    server = await serve(handler, "0.0.0.0", 0)
    agents = Agents(server.sockets[0].getsockname()[1])
    try:
        yield agents
    finally:
        await agents.close()
        server.close()


def test_a_look_takes_what_is_there_and_the_next_goes_on_from_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "router-a")
    start = STARTED.timestamp()

    async def run() -> None:
        now = start + 3.0
        async with serving(ledger_of(journal, lambda: now)) as agents:
            puller = Puller(agents, lambda: now)
            puller.routers("risk", [pod("router-a"), pod("router-without-address", "")])
            puller.follow(MODEL, NAME, Criteria(), {}, "")
            following = puller.followed[MODEL]
            await puller.look()
            for second in (1.0, 1.25, 2.0):
                journal.append(tick(start + second))
            assert await puller.look() == [MODEL]
            assert (puller.pulled.pages, puller.pulled.rows, puller.pulled.gaps) == (2, 6, 0)
            journal.append(tick(start + 2.5))
            await puller.look()
            assert puller.pulled.rows == 8
            assert following.streams["router-a"].kept == journal.cursor
            evidence = puller.evidence(MODEL)
            assert evidence is not None
            assert (evidence.epoch, evidence.requests, evidence.unreachable) == (4, 20, ())
            assert evidence.cursors == {"router-a": journal.cursor}
            again = Puller(agents, lambda: now)
            again.routers("risk", [pod("router-a")])
            again.follow(MODEL, NAME, Criteria(), evidence.cursors, evidence.memory)
            await again.look()
            assert again.pulled.rows == 0
            assert again.evidence(MODEL) == evidence
            await puller.close()

    asyncio.run(run())


def test_rows_lost_for_good_are_counted_and_do_not_stop_anything(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "router-a")
    start = STARTED.timestamp()
    journal.append(tick(start + 1.0))

    async def run() -> None:
        now = start + 60.0
        async with serving(ledger_of(journal, lambda: now)) as agents:
            puller = Puller(agents, lambda: now)
            puller.routers("risk", [pod("router-a")])
            puller.follow(MODEL, NAME, Criteria(), {}, "")
            await puller.look()
            puller.followed[MODEL].streams["router-a"].cursor = "another-1"
            await puller.look()
            assert puller.pulled.gaps == 1

    asyncio.run(run())


def test_a_slow_router_holds_up_nobody_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "router-a")
    start = STARTED.timestamp()
    journal.append(tick(start + 1.0))
    answer = ledger_of(journal, lambda: start + 3.0)
    slow = asyncio.Event()

    async def run() -> None:
        async def sometimes(request: Request) -> Response:
            if request.query.get("model") == "spam":
                await slow.wait()
            return await answer(request)

        async with serving(sometimes) as agents:
            puller = Puller(agents, lambda: start + 3.0)
            puller.routers("risk", [pod("router-a")])
            puller.follow(("risk", "spam"), ReleaseName("spam", "spam-2", STARTED, "spam"), Criteria(), {}, "")
            puller.follow(MODEL, NAME, Criteria(), {}, "")
            began = time.monotonic()
            await puller.look()
            assert time.monotonic() - began < PROMPTLY + 0.5
            assert "router-a" in puller.followed[MODEL].streams
            assert "router-a" not in puller.followed["risk", "spam"].streams
            slow.set()
            await puller.look()
            assert "router-a" in puller.followed["risk", "spam"].streams
            await puller.close()

    asyncio.run(run())


def test_another_release_is_followed_anew_and_the_same_one_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        agents = Agents(1)
        puller = Puller(agents, lambda: 0.0)
        puller.follow(MODEL, NAME, Criteria(), {}, "")
        first = puller.followed[MODEL]
        puller.follow(MODEL, NAME, Criteria(), {}, "")
        assert puller.followed[MODEL] is first
        puller.follow(MODEL, ReleaseName("fraud", "fraud-3", STARTED, "other"), Criteria(), {}, "")
        assert puller.followed[MODEL] is not first
        puller.follow(MODEL, NAME, Criteria(), {}, "damaged")
        assert puller.followed[MODEL].judge.latest < 0
        puller.leave(MODEL)
        assert puller.evidence(MODEL) is None
        await agents.close()

    asyncio.run(run())


def test_agents_tell_how_they_stand_and_silent_ones_are_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "router-a")

    async def run() -> None:
        async with serving(ledger_of(journal, lambda: 0.0)) as agents:
            (report,) = await agents.reports([pod("router-a"), pod("router-b", "::1"), pod("router-c", "")])
            assert (report.pod, dict(report.epochs), dict(report.candidates)) == ("router-a", {"u1": 4}, {"u1": 1})
            assert dict(report.kept_back) == {"spam": "a bad part"}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, "", {}),
        (200, "no JSON\n", {"x-penstock-cursor": "a-1", "x-penstock-complete-until": "1.0"}),
        (200, "[1]\n", {"x-penstock-cursor": "a-1", "x-penstock-complete-until": "1.0"}),
        (200, "", {"x-penstock-cursor": "a-1", "x-penstock-complete-until": "soon"}),
        (200, "", {"x-penstock-cursor": "a" * 65, "x-penstock-complete-until": "1.0"}),
        (503, "", {"x-penstock-cursor": "a-1", "x-penstock-complete-until": "1.0"}),
    ],
)
def test_what_is_no_ledger_counts_as_no_answer(status: int, body: str, headers: dict[str, str]) -> None:
    async def run() -> None:
        async def answer(_: Request) -> Response:
            return Response(status, body, headers=headers)

        async with serving(answer) as agents:
            with pytest.raises(UnreachableError):
                await agents.ledger("127.0.0.1", "", "fraud")
            assert await agents.reports([pod("router-a")]) == ()

    asyncio.run(run())
