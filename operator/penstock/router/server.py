"""What the agent answers: the ledger, how it stands, and its own metrics."""

import hmac
import json
from pathlib import Path

from penstock.router.agent import Agent
from penstock.router.contract import HEADER_COMPLETE_UNTIL, HEADER_CURSOR, HEADER_GAP
from penstock.router.http import Request, Response
from penstock.router.journal import Page
from penstock.router.metrics import exposition

_JSON_LINES = "application/x-ndjson"
_JSON = "application/json"
NOW = "now"
"""As `since`: no rows, just the cursor behind the last one."""


class AgentServer:
    """Answers requests about one agent. Without the bearer token, where one is set, only health is told."""

    def __init__(self, agent: Agent, token_file: Path | None) -> None:
        self._agent = agent
        self._token_file = token_file

    async def __call__(self, request: Request) -> Response:
        """The answer to one request."""
        if request.method != "GET":
            return Response(405, "only GET\n")
        if request.path == "/healthz":
            return Response(200, "ok\n")
        if not self._may(request):
            return Response(401, "a bearer token is needed\n")
        match request.path:
            case "/ledger":
                return self._ledger(request)
            case "/state":
                return Response(200, json.dumps(self._state()) + "\n", _JSON)
            case "/metrics":
                return Response(200, exposition(self._agent), "text/plain; version=0.0.4; charset=utf-8")
        return Response(404, "there are /ledger, /state, /metrics and /healthz\n")

    def _may(self, request: Request) -> bool:
        if self._token_file is None:
            return True
        wanted = f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode())

    def _ledger(self, request: Request) -> Response:
        complete_until = self._agent.complete_until
        since = request.query.get("since", "")
        if since == NOW:
            page = Page((), self._agent.journal.cursor, gap=False)
        else:
            page = self._agent.journal.page(since, request.query.get("model"))
        headers = {
            HEADER_CURSOR: page.cursor,
            HEADER_COMPLETE_UNTIL: f"{complete_until:.3f}",
            HEADER_GAP: "true" if page.gap else "false",
        }
        return Response(200, "".join(line + "\n" for line in page.lines), _JSON_LINES, headers)

    def _state(self) -> dict[str, object]:
        """What is in force, by model; `live` once the running Envoy has confirmed it."""
        agent = self._agent
        live = agent.confirmed_boot is not None
        return {
            "boot": agent.ledger.boot if agent.ledger is not None else None,
            "completeUntil": round(agent.complete_until, 3),
            "tableProblem": agent.table_problem,
            "models": {
                name: {
                    "uid": model.route.uid,
                    "epoch": model.route.epoch,
                    "weight": model.route.candidate_weight,
                    "stable": model.route.stable.revision,
                    "candidate": None if model.route.candidate is None else model.route.candidate.revision,
                    "endpoints": {arm.role.value: len(arm.endpoints) for arm in model.route.arms},
                    "live": live,
                }
                for name, model in agent.state.models.items()
            },
            "keptBack": dict(agent.kept_back),
        }
