"""What the operator answers: health, metrics, and the live evidence of a release."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from penstock.runtime.metrics import CONTENT_TYPE

Troubles = Callable[[], list[str]]
LiveEvidence = Callable[[str, str], Mapping[str, Any] | None]


def application(
    live: Troubles, ready: Troubles, exposition: Callable[[], bytes], evidence: LiveEvidence
) -> web.Application:
    """`live` and `ready` say what is wrong, nothing when all is well."""

    async def healthz(_: web.Request) -> web.Response:
        return _health(live())

    async def readyz(_: web.Request) -> web.Response:
        return _health(ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def release(request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        found = evidence(namespace, name)
        if found is None:
            return web.json_response({"error": f"no release of {namespace}/{name} is being judged"}, status=404)
        return web.json_response(found)

    made = web.Application()
    made.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            web.get("/evidence/{namespace}/{name}", release),
        ]
    )
    return made


def _health(troubles: list[str]) -> web.Response:
    return web.Response(text="\n".join(troubles or ["ok"]) + "\n", status=503 if troubles else 200)
