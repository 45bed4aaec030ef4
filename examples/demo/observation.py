"""What is seen while a version is released: the deployment's status, the routers' ledgers, and what callers got."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from cluster import CommandFailedError, Json, Window
from objects import MODEL, NAMESPACE

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ROUTER_PODS = f"{PODS}?labelSelector=penstock.dev%2Frouter%3Ddefault,app.kubernetes.io%2Fcomponent%3Drouter"
CALLER_PODS = f"{PODS}?labelSelector=app%3Dcaller"
DEPLOYMENT = f"/apis/penstock.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments/{MODEL}"
AGENT_PORT = 9100
LEDGER_EVERY_SECONDS = 0.25
EVIDENCE = f"/api/v1/namespaces/penstock-system/services/penstock-operator:8080/proxy/evidence/{NAMESPACE}/{MODEL}"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. `history` tells of ended releases, the newest first: revision, outcome, reason. `evidence` is the
    operator's live evidence, None while nothing is judged."""

    phase: str
    reason: str
    message: str
    generation_seen: bool
    stable: str
    candidate: str
    weight: int
    history: tuple[tuple[str, str, str], ...]
    evidence: Json | None


def look(window: Window) -> Sight:
    """Read the ModelDeployment and the live evidence."""
    deployment = window.read(DEPLOYMENT)
    status = deployment.get("status", {})
    ready: Json = next((item for item in status.get("conditions", ()) if item["type"] == "Ready"), {})
    candidate = status.get("candidate", {})
    return Sight(
        phase=status.get("phase", ""),
        reason=ready.get("reason", ""),
        message=status.get("message", ""),
        generation_seen=status.get("observedGeneration") == deployment["metadata"]["generation"],
        stable=status.get("stable", {}).get("revision", ""),
        candidate=candidate.get("revision", ""),
        weight=candidate.get("weight", 0),
        history=tuple((row["revision"], row["outcome"], row["reason"]) for row in status.get("history", ())),
        evidence=_evidence(window) if candidate.get("weight") else None,
    )


def _evidence(window: Window) -> Json | None:
    try:
        return window.read(EVIDENCE)
    except CommandFailedError:
        return None


@dataclass(slots=True)
class Felt:
    """What callers got since `start` (seconds since 1970): answers by revision, and failures by kind. `until` is how far
    the caller's log, whose lines hold the counts of a quarter of a second each, has been read."""

    start: float
    until: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def read(self, window: Window) -> None:
        """Read on in the log."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(self.start, self.until) - 1))
        for pod in window.read(CALLER_PODS)["items"]:
            for line in window.text(f"{PODS}/{pod['metadata']['name']}/log?sinceTime={since}").splitlines():
                self._take(json.loads(line))

    def _take(self, told: Json) -> None:
        if told["t"] <= max(self.start, self.until):
            return
        self.until = told["t"]
        for outcome, count in told["answers"].items():
            (self.failures if outcome.startswith("failed") else self.answers)[outcome] += count


@dataclass(slots=True)
class Ledger:
    """The candidate's rows of every router's ledger since `start`, read through the API server."""

    start: float
    rows: list[Json] = field(default_factory=list)

    def read(self, window: Window, revision: str) -> None:
        """Replace `rows` with what the routers have written of this revision as a candidate."""
        pods = window.read(ROUTER_PODS)["items"]
        self.rows = [
            row
            for pod in pods
            for line in window.text(_ledger_of(pod["metadata"]["name"])).splitlines()
            if (row := json.loads(line))["t"] >= self.start
            and row["revision"] == revision
            and row["arm"] == "candidate"
        ]

    @property
    def bad(self) -> int:
        """The candidate's bad answers: failed or refused."""
        return sum(_bad(row) for row in self.rows)

    @property
    def seconds(self) -> float | None:
        """From the first bad answer to the last request that reached the candidate; None when there was none. Rows tell
        the time to a quarter of a second, which is counted in full."""
        first = min((row["t"] for row in self.rows if _bad(row)), default=None)
        if first is None:
            return None
        last = max(row["t"] for row in self.rows if row["requests"])
        return round(float(last - first) + LEDGER_EVERY_SECONDS, 2)


def _bad(row: Json) -> int:
    return int(row.get("failed", 0)) + int(row.get("refused", 0))


def _ledger_of(pod: str) -> str:
    return f"{PODS}/{pod}:{AGENT_PORT}/proxy/ledger?model={MODEL}"
