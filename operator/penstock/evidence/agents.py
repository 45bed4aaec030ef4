"""Asks routers' agents over HTTP: their ledger since a cursor, and how they stand."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from penstock.api.contract import HEADER_COMPLETE_UNTIL, HEADER_CURSOR, HEADER_GAP
from penstock.reconcile.observing import report_of
from penstock.world import AgentReport, Pod

_LONGEST_CURSOR = 64
_TIMEOUT = aiohttp.ClientTimeout(total=2.0, sock_connect=1.0)

SINCE_NOW = "now"
"""As a cursor: no rows, just the cursor behind the last one."""

Row = Mapping[str, Any]


class UnreachableError(Exception):
    """An agent that did not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Page:
    """Ledger rows of one model behind a cursor, oldest first.

    `complete_until` (seconds since 1970 by the router's clock): up to then nothing is missing. `gap`: rows between the
    given cursor and the first row are lost for good.
    """

    rows: tuple[Row, ...]
    cursor: str
    complete_until: float
    gap: bool


class Agents:
    """A connection pool to the agents, all on one port. Close it after use."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=200))

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def ledger(self, address: str, since: str, model: str) -> Page:
        """The rows of a model behind a cursor; an empty cursor means from the oldest on. Raises UnreachableError."""
        text, headers = await self._get(address, "/ledger", {"since": since, "model": model})
        try:
            rows = tuple(json.loads(line) for line in text.splitlines())
            cursor, complete_until = headers[HEADER_CURSOR], float(headers[HEADER_COMPLETE_UNTIL])
        except (ValueError, KeyError) as error:
            raise UnreachableError(f"{address}: this is no ledger ({error!r})") from error
        if len(cursor) > _LONGEST_CURSOR or not all(isinstance(row, dict) for row in rows):
            raise UnreachableError(f"{address}: this is no ledger")
        return Page(rows, cursor, complete_until, headers.get(HEADER_GAP) == "true")

    async def reports(self, pods: Iterable[Pod]) -> tuple[AgentReport, ...]:
        """What the agents of these pods say of themselves; those that do not answer are left out."""
        asked = await asyncio.gather(*(self._report(pod) for pod in pods if pod.address), return_exceptions=False)
        return tuple(report for report in asked if report is not None)

    async def _report(self, pod: Pod) -> AgentReport | None:
        try:
            text, _ = await self._get(pod.address, "/state", {})
            return report_of(pod.name, json.loads(text))
        except (UnreachableError, ValueError, TypeError, KeyError, AttributeError):
            return None

    async def _get(self, address: str, path: str, query: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}{path}"
        try:
            async with self._session.get(url, params=query) as answer:
                if answer.status != 200:
                    raise UnreachableError(f"{url}: HTTP {answer.status}")
                return await answer.text(), answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise UnreachableError(f"{url}: {error or type(error).__name__}") from error
