"""The process that never ends: it starts the agent again whenever it stops, and drains Envoy when the pod leaves.

A container that exits makes its pod not ready, which would take a healthy Envoy out of service because of its helper.
So a crash of the agent is a number here, never an exit.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence

from penstock.router.admin import Admin
from penstock.router.drain import drain
from penstock.router.envoy.bootstrap import ADMIN_SOCKET
from penstock.router.http import Request, Response, serve
from penstock.router.settings import Settings

FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0
STEADY_SECONDS = 30.0
"""An agent that ran this long is started again at once when it stops."""
_GRACE_SECONDS = 5.0

log = logging.getLogger("penstock.router.supervisor")


class Supervisor:
    """Keeps one child process running."""

    def __init__(self, settings: Settings, command: Sequence[str]) -> None:
        self._settings = settings
        self._command = tuple(command)
        self._child: asyncio.subprocess.Process | None = None
        self._leaving = asyncio.Event()
        self._draining = asyncio.Lock()
        self.starts = 0
        self.last_exit = 0

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, and then until a drain under way is over."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leaving.set)
        server = await serve(self.answer, self._settings.agent_bind, self._settings.supervisor_port)
        wait = FIRST_WAIT
        while not self._leaving.is_set():
            started = loop.time()
            await self._run_child()
            wait = FIRST_WAIT if loop.time() - started >= STEADY_SECONDS else min(2 * wait, LONGEST_WAIT)
            if not self._leaving.is_set():
                log.error("The agent ended with %s; Envoy goes on; next start in %.1f s", self.last_exit, wait)
                await self._until_leaving(wait)
        server.close()

    async def answer(self, request: Request) -> Response:
        """`/healthz`, `/metrics`, and `/drain`, whose answer comes when Envoy may be stopped."""
        match request.path:
            case "/healthz":
                return Response(200, "ok\n")
            case "/metrics":
                return Response(200, self._metrics())
            case "/drain":
                return await self._drain()
        return Response(404, "there are /healthz, /metrics and /drain\n")

    async def _drain(self) -> Response:
        async with self._draining:
            admin = Admin(self._settings.envoy_folder / ADMIN_SOCKET)
            try:
                drained = await drain(admin, self._settings.drain_seconds)
            finally:
                await admin.close()
        return Response(200, f"drained in {drained.seconds:.1f} s, {drained.in_flight} requests left\n")

    async def _run_child(self) -> None:
        """Start the child and wait until it has ended, by itself or because this process is leaving."""
        try:
            child = self._child = await asyncio.create_subprocess_exec(*self._command)
        except OSError as error:
            log.error("The agent cannot be started: %s", error)
            return
        self.starts += 1
        ended, leaving = asyncio.create_task(child.wait()), asyncio.create_task(self._leaving.wait())
        await asyncio.wait({ended, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not ended.done():
            async with self._draining:
                child.terminate()
            await asyncio.wait({ended}, timeout=_GRACE_SECONDS)
        if not ended.done():
            child.kill()
        self.last_exit = await ended

    async def _until_leaving(self, longest: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._leaving.wait()

    def _metrics(self) -> str:
        up = int(self._child is not None and self._child.returncode is None)
        return (
            "# HELP penstock_router_agent_starts_total Starts of the agent; each after the first followed a crash.\n"
            "# TYPE penstock_router_agent_starts_total counter\n"
            f"penstock_router_agent_starts_total {self.starts}\n"
            "# HELP penstock_router_agent_up Whether the agent runs.\n"
            "# TYPE penstock_router_agent_up gauge\n"
            f"penstock_router_agent_up {up}\n"
            "# HELP penstock_router_agent_last_exit Exit status of the agent's last end; negative: that signal.\n"
            "# TYPE penstock_router_agent_last_exit gauge\n"
            f"penstock_router_agent_last_exit {self.last_exit}\n"
        )


def agent_command() -> tuple[str, ...]:
    """How the agent is started."""
    return (sys.executable, "-m", "penstock.router", "agent")
