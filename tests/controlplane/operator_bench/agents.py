"""The routers' part: agents that follow the table and replay ledgers which real ones recorded.

The journal, its cursors and its pages are the agent's own; the counts are what a real Envoy counted at that share of the
traffic with a candidate of that behaviour. Only times, names and epochs are set to those of the release at hand.
"""

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
from penstock.router.journal import Journal, Page
from penstock.router.ledger import Row, Tick
from penstock.router.routing import Role
from penstock.router.tally import NAMES, Tally

from operator_bench.admin import Admin, Json
from operator_bench.kubelet import Kubelet

TABLES = "app.kubernetes.io/component=router"
RECORDED = Path(__file__).parents[2] / "evidence" / "recorded"


def recorded(behaviour: str, weight: int) -> list[tuple[float, list[Json]]]:
    """A recording: (seconds since its start, rows) for each interval."""
    path = RECORDED / f"{behaviour}-{weight}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    start = rows[0]["t"]
    return [(t - start, list(group)) for t, group in groupby(rows, key=lambda row: row["t"])]


RECORDINGS = {
    (name, weight): recorded(name, weight) for name in ("healthy", "failing", "refusing") for weight in (0, 10, 50)
}


class Agent:
    """One router pod's agent."""

    def __init__(self, name: str) -> None:
        self.journal = Journal(Path(tempfile.mkdtemp(prefix="penstock-ledger-")), name)
        self.complete_until = 0.0
        self.models: dict[str, Json] = {}
        self._playing: dict[tuple[str, int], Iterator[tuple[float, list[Json]]]] = {}
        self._due: dict[tuple[str, int], tuple[float, list[Json]]] = {}
        self.lock = threading.Lock()

    def follow(self, models: list[Json], behaviours: dict[str, str], now: float) -> None:
        """Take the table over, and write down what is due."""
        with self.lock:
            self.models = {model["name"]: model for model in models}
            for model in models:
                behaviour = behaviours.get(model["name"])
                if behaviour is not None:
                    self._play(model, behaviour, now)
            self.complete_until = now

    def _play(self, model: Json, behaviour: str, now: float) -> None:
        weight = next((arm["weight"] for arm in model["arms"] if arm["role"] == "candidate"), 0) // 100
        key = (model["name"], model["epoch"])
        if key not in self._due:
            self._playing[key] = _for_ever(RECORDINGS[behaviour, weight], now)
            self._due[key] = next(self._playing[key])
        while self._due[key][0] <= now:
            due, rows = self._due[key]
            told = tuple(_row(row, model) for row in rows if row["arm"] in {arm["role"] for arm in model["arms"]})
            last = self.journal.written.time
            self.journal.append(Tick(max(round(due, 3), round(last + 0.001, 3)), "replayed", told, {}))
            self._due[key] = next(self._playing[key])

    def state(self) -> Json:
        """What `/state` says: the table is live as soon as it is read."""
        with self.lock:
            models = {
                name: {
                    "uid": model["uid"],
                    "epoch": model["epoch"],
                    "live": True,
                    "endpoints": {arm["role"]: 1 for arm in model["arms"]},
                }
                for name, model in self.models.items()
            }
        return {"boot": "replayed", "tableProblem": None, "models": models, "keptBack": {}}

    def page(self, since: str, model: str | None) -> tuple[Page, float]:
        """A page of the ledger, and up to when it is complete."""
        with self.lock:
            if since == "now":
                return Page((), self.journal.cursor, gap=False), self.complete_until
            return self.journal.page(since, model), self.complete_until


def _for_ever(recording: list[tuple[float, list[Json]]], start: float) -> Iterator[tuple[float, list[Json]]]:
    length = recording[-1][0] + 0.25
    while True:
        for after, rows in recording:
            yield start + after, rows
        start += length


def _row(row: Json, model: Json) -> Row:
    arms = {arm["role"]: arm for arm in model["arms"]}
    weight = arms["candidate"]["weight"] / 100 if "candidate" in arms else 0.0
    tally = Tally(**{name: row.get(name, 0) for name in NAMES})
    role = Role(row["arm"])
    return Row(model["name"], model.get("release", ""), model["epoch"], role, arms[role]["revision"], weight, (), tally)


@dataclass(frozen=True)
class Split:
    """How a model's traffic was split; `weight` is the candidate's, in percent."""

    epoch: int
    stable: str
    candidate: str
    weight: int


def split_of(model: Json) -> Split:
    """The split in a model's part of the table."""
    arms = {arm["role"]: arm for arm in model["arms"]}
    candidate = arms.get("candidate", {"revision": "", "weight": 0})
    return Split(model["epoch"], arms["stable"]["revision"], candidate["revision"], candidate["weight"] // 100)


class Agents:
    """All router pods' agents behind one port; the address called says which one is meant. `behaviours` says, by
    namespace and model, what the traffic is like; a model that is not in it has none."""

    def __init__(self, kubeconfig: Path, kubelet: Kubelet) -> None:
        self._admin = Admin(kubeconfig)
        self._kubelet = kubelet
        self.agents: dict[str, Agent] = {}
        self.behaviours: dict[str, dict[str, str]] = {}
        self.silent: set[str] = set()
        """Addresses that do not answer."""
        self.history: dict[tuple[str, str], list[Split]] = {}
        """Every split that the table has had, by namespace and model, as often as it is looked at."""
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.1,), name="agents", daemon=True),
            threading.Thread(target=self._run, name="ledgers", daemon=True),
        ]

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._stop.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join(30)
        self._server.server_close()
        self._admin.close()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with contextlib.suppress(httpx.HTTPError):
                tables = self._admin.call("GET", "/api/v1/configmaps", labelSelector=TABLES)["items"]
                self._follow({item["metadata"]["namespace"]: json.loads(item["data"]["table.json"]) for item in tables})

    def _follow(self, tables: dict[str, Json]) -> None:
        now = time.time()
        for namespace, table in tables.items():
            for model in table["models"]:
                seen = self.history.setdefault((namespace, model["name"]), [])
                if not seen or seen[-1] != split_of(model):
                    seen.append(split_of(model))
        for address, (namespace, pod) in list(self._kubelet.routers.items()):
            agent = self.agents.setdefault(address, Agent(pod))
            models = tables.get(namespace, {"models": []})["models"]
            agent.follow(models, self.behaviours.get(namespace, {}), now)


def _handler(agents: Agents) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = self.connection.getsockname()[0]
            agent = agents.agents.get(address)
            url = urlsplit(self.path)
            if agent is None or address in agents.silent:
                self.send_error(503)
            elif url.path == "/state":
                self._tell(json.dumps(agent.state()), {})
            elif url.path == "/ledger":
                query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
                page, complete_until = agent.page(query.get("since", ""), query.get("model"))
                self._tell(
                    "".join(line + "\n" for line in page.lines),
                    {
                        "x-penstock-cursor": page.cursor,
                        "x-penstock-complete-until": f"{complete_until:.3f}",
                        "x-penstock-gap": "true" if page.gap else "false",
                    },
                )
            else:
                self.send_error(404)

        def _tell(self, text: str, headers: dict[str, str]) -> None:
            body = text.encode()
            self.send_response(200)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a test that fails shows the operator's log."""

    return Handler
