"""Leaving without breaking a request: callers are told to go elsewhere, and Envoy stays until they have gone."""

import asyncio
import re
from dataclasses import dataclass

from penstock.router.admin import Admin
from penstock.router.envoy.listeners import HTTP_STATS
from penstock.router.errors import EnvoyUnavailableError

QUIET_SECONDS = 2.0
"""So long without a new request before the listeners close: the time in which a cluster's nodes learn that this pod is
no longer an endpoint."""
_LOOK_EVERY = 0.05
_ACTIVE, _TOTAL = f"http.{HTTP_STATS}.downstream_rq_active", f"http.{HTTP_STATS}.downstream_rq_total"


@dataclass(frozen=True, slots=True)
class Drained:
    """How the drain ended: after so many seconds, with so many requests still in flight."""

    seconds: float
    in_flight: int


async def drain(admin: Admin, longest: float, quiet: float = QUIET_SECONDS) -> Drained:
    """Fail the health check, so that each answer closes its connection; when no new request has come for `quiet`
    seconds, close the listeners; return when nothing is in flight, at the latest after `longest` seconds.

    An Envoy that is gone has nothing to drain.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    active, total, since = 0, -1, start
    try:
        await admin.post("/healthcheck/fail")
        closed = False
        while loop.time() - start < longest:
            active, now_total = await _requests(admin)
            if now_total != total:
                total, since = now_total, loop.time()
            if not closed and loop.time() - since >= quiet:
                await admin.post("/drain_listeners")
                closed = True
            elif closed and active == 0:
                break
            await asyncio.sleep(_LOOK_EVERY)
    except EnvoyUnavailableError:
        return Drained(loop.time() - start, 0)
    return Drained(loop.time() - start, active)


async def _requests(admin: Admin) -> tuple[int, int]:
    """Requests in flight, and all that ever came."""
    text = await admin.get(f"/stats?filter=%5E{re.escape(f'http.{HTTP_STATS}.downstream_rq_')}")
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return int(values.get(_ACTIVE, "0")), int(values.get(_TOTAL, "0"))
