"""The agent's surroundings: supervisor, settings, HTTP, and the constants that other rooms share."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import penstock.api.contract as operator
import penstock.api.names as api_names
import penstock_serving.contract as serving
import pytest
from penstock.router import contract
from penstock.router.admin import Admin
from penstock.router.drain import drain
from penstock.router.envoy.clusters import PLENTY
from penstock.router.envoy.resources import seconds, socket_address
from penstock.router.errors import BadInputError, EnvoyUnavailableError
from penstock.router.http import Request, Response, serve
from penstock.router.settings import Settings, every_address, read_settings
from penstock.router.supervise import Supervisor
from router_bench.routers import Router, free_port, until

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]


def test_the_router_agrees_with_the_other_rooms() -> None:
    for room in (operator, serving):
        ours = {name: value for name, value in vars(contract).items() if name.isupper()}
        shared = ours.keys() & vars(room).keys()
        assert {"HEADER_REFUSED", "HEADER_SATURATED"} <= shared
        assert {name: ours[name] for name in shared} == {name: vars(room)[name] for name in shared}
    assert {"AGENT_PORT", "READY_PORT", "SUPERVISOR_PORT", "READY_PATH"} <= vars(operator).keys()
    assert not api_names.FIRST_MODEL_PORT <= contract.READY_PORT <= api_names.LAST_MODEL_PORT


def test_the_agent_loads_nothing_heavy() -> None:
    code = "import sys, penstock.router.__main__; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "penstock" in loaded
    assert not {"pydantic", "numpy", "scipy", "kopf", "yaml", "aiohttp"} & set(loaded)


def test_a_supervisor_never_ends_by_its_childs_doing_and_tells_how_often_it_started(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, "r", "127.0.0.1", agent_bind="127.0.0.1", supervisor_port=free_port())
    supervisor = Supervisor(settings, (sys.executable, "-c", "raise SystemExit(7)"))

    async def watch() -> str:
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(20):
            while supervisor.starts < 3 or supervisor.last_exit != 7:
                await asyncio.sleep(0.01)
        told = await supervisor.answer(Request("GET", "/metrics", {}, {}))
        drained = await supervisor.answer(Request("GET", "/drain", {}, {}))
        assert drained.status == 200
        assert (await supervisor.answer(Request("GET", "/healthz", {}, {}))).status == 200
        assert (await supervisor.answer(Request("GET", "/", {}, {}))).status == 404
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        return told.body

    told = asyncio.run(watch())
    assert "penstock_router_agent_starts_total 3" in told
    assert "penstock_router_agent_last_exit 7" in told


def test_a_supervisor_waits_for_a_program_that_is_not_there(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, "r", "127.0.0.1", agent_bind="127.0.0.1", supervisor_port=free_port())
    supervisor = Supervisor(settings, (str(tmp_path / "missing"),))

    async def watch() -> None:
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)
        assert not running.done()
        os.kill(os.getpid(), signal.SIGINT)
        await running

    asyncio.run(watch())
    assert supervisor.starts == 0


def test_a_drain_without_envoy_is_over_at_once(tmp_path: Path) -> None:
    drained = asyncio.run(drain(Admin(tmp_path / "none"), 60.0))
    assert drained.in_flight == 0
    assert drained.seconds < 1.0


def test_without_envoy_the_admin_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvoyUnavailableError, match="admin socket"):
        asyncio.run(Admin(tmp_path / "none").get("/stats"))


@pytest.mark.parametrize(
    ("variable", "text"),
    [("PENSTOCK_AGENT_PORT", "x"), ("PENSTOCK_AGENT_PORT", "0"), ("PENSTOCK_DRAIN_SECONDS", "soon"),
     ("PENSTOCK_POLL_SECONDS", "0")],
)  # fmt: skip
def test_a_bad_setting_names_its_variable(variable: str, text: str) -> None:
    with pytest.raises(BadInputError, match=variable):
        read_settings({variable: text})


def test_settings_come_from_the_environment() -> None:
    read = read_settings({"PENSTOCK_ROUTER_FOLDER": "/x", "HOSTNAME": "pod-1", "PENSTOCK_TOKEN_FILE": "/t"})
    assert (read.envoy_folder, read.router, read.token_file) == (Path("/x/envoy"), "pod-1", Path("/t"))
    assert read.table_file is None


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /a?x=1&x=2 HTTP/1.1\r\nhost: h\r\n\r\n", 200),
        (b"POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", 200),
        (b"nonsense\r\n\r\n", None),
        (b"GET /a HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", None),
        (b"GET /a HTTP/1.1\r\ncontent-length: -1\r\n\r\n", None),
    ],
)
def test_the_small_http_server_answers_requests_and_hangs_up_on_anything_else(
    request_text: bytes, status: int | None
) -> None:
    async def echo(request: Request) -> Response:
        return Response(200, f"{request.method} {request.path} {dict(request.query)}")

    async def run() -> bytes:
        port = free_port()
        server = await serve(echo, "127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_text)
        answer = await reader.readuntil(b"\r\n\r\n") if status else await reader.read()
        writer.close()
        server.close()
        return answer

    answer = asyncio.run(run())
    assert answer.startswith(f"HTTP/1.1 {status} OK".encode()) if status else answer == b""


def test_a_router_takes_callers_of_every_address_family_that_there_is(new_router: Callable[..., Router]) -> None:
    router = new_router(PENSTOCK_ROUTER_BIND=every_address())
    until(router.is_ready, "it is ready over IPv4")
    if every_address() == "::":
        with socket.create_connection(("::1", router.ready_port), timeout=5) as connection:
            connection.sendall(b"GET /ready HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
            assert connection.recv(15).startswith(b"HTTP/1.1 200")


def test_durations_and_addresses_are_written_as_envoy_reads_them() -> None:
    assert [seconds(ms) for ms in (2, 1_000, 1_500)] == ["0.002s", "1s", "1.500s"]
    assert socket_address("::", 1) == {"socket_address": {"address": "::", "port_value": 1, "ipv4_compat": True}}
    assert PLENTY > 65_536


def test_the_agent_tells_nothing_but_health_without_the_token(
    shared_router: Router, new_router: Callable[..., Router], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    router = new_router(PENSTOCK_TOKEN_FILE=str(token))
    until(router.is_answering, "the agent answers")
    assert _status(router, "/healthz") == 200
    assert [_status(router, path) for path in ("/ledger", "/state", "/metrics")] == [401] * 3
    assert [_status(router, "/state", bearer) for bearer in ("wrong", "secret")] == [401, 200]
    assert _status(shared_router, "/nothing") == 404
    assert _status(shared_router, "/metrics") == 200


def _status(router: Router, path: str, bearer: str | None = None) -> int:
    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", router.agent_port)
        authorization = "" if bearer is None else f"authorization: Bearer {bearer}\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{authorization}\r\n".encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1])

    return asyncio.run(ask())
