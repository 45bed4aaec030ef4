"""The router bench for this folder's tests: real Envoy, the real agent, small real servers."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from router_bench.envoy import find_envoy
from router_bench.pairs import Pair
from router_bench.routers import Router, Table, free_port
from router_bench.servers import OK, Behaviour, ServerThread


@pytest.fixture(scope="session")
def envoy() -> Path:
    """The real Envoy."""
    return find_envoy()


@pytest.fixture(scope="session")
def thread() -> Iterator[ServerThread]:
    """Where the model servers run."""
    thread = ServerThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def shared_router(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One router for all tests that leave it as it was."""
    router = Router(envoy, Table(tmp_path_factory.mktemp("table") / "table.json"))
    yield router
    router.stop()


@pytest.fixture
def new_router(envoy: Path, tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Makes routers of a test's own, all following one table."""
    made: list[Router] = []
    table = Table(tmp_path / "table.json")

    def make(**settings: str) -> Router:
        router = Router(envoy, table, f"router-{len(made)}", **settings)
        made.append(router)
        return router

    yield make
    for router in made:
        router.stop()


@pytest.fixture
def pair(thread: ServerThread, request: pytest.FixtureRequest) -> Iterator[Callable[..., Pair]]:
    """Makes models with two servers, on the shared router unless told otherwise; their ports are given back."""
    made: list[Pair] = []

    def make(candidate: Behaviour = OK, router: Router | None = None) -> Pair:
        where = router or request.getfixturevalue("shared_router")
        one = Pair(where, thread, f"m{free_port()}", candidate)
        made.append(one)
        return one

    yield make
    for one in made:
        one.router.table.models.pop(one.name, None)
        one.router.table.write()
        one.close()
