"""What is seen while a version is released: the deployment's status, the routers' ledgers, and what callers got."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster import CommandFailedError, Json, kubectl, raw, read
from objects import MODEL, NAMESPACE

ROUTER_PODS = "penstock.dev/router=default,app.kubernetes.io/component=router"
AGENT_PORT = 9100
LEDGER_EVERY_SECONDS = 0.25
EVIDENCE = f"/api/v1/namespaces/penstock-system/services/penstock-operator:8080/proxy/evidence/{NAMESPACE}/{MODEL}"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. `evidence` is the operator's live evidence, None while nothing is judged."""

    phase: str
    reason: str
    message: str
    generation_seen: bool
    stable: str
    candidate: str
    weight: int
    history: tuple[tuple[str, str], ...]
    evidence: Json | None


def look() -> Sight:
    """Read the ModelDeployment and the live evidence."""
    deployment = read("modeldeployment", MODEL, "-n", NAMESPACE)
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
        history=tuple((row["revision"], row["outcome"]) for row in status.get("history", ())),
        evidence=_evidence() if candidate.get("weight") else None,
    )


def _evidence() -> Json | None:
    try:
        found: Json = json.loads(raw(EVIDENCE))
    except CommandFailedError:
        return None
    return found


@dataclass(frozen=True, slots=True)
class Felt:
    """What callers got from `start` to `end`: answers by revision, and failures by kind."""

    answers: Mapping[str, int]
    failures: Mapping[str, int]


def felt(start: float, end: float) -> Felt:
    """Read the caller's log, whose lines hold the counts of a quarter of a second each."""
    answers: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start - 1))
    for line in kubectl("logs", "-n", NAMESPACE, "deployment/caller", f"--since-time={since}").splitlines():
        told = json.loads(line)
        if start <= told["t"] <= end:
            for outcome, count in told["answers"].items():
                (failures if outcome.startswith("failed") else answers)[outcome] += count
    return Felt(dict(answers), dict(failures))


@dataclass(slots=True)
class Ledger:
    """The candidate's rows of every router's ledger since `start`, read through the API server."""

    start: float
    rows: list[Json] = field(default_factory=list)

    def read(self, revision: str) -> None:
        """Replace `rows` with what the routers have written of this revision as a candidate."""
        pods = read("pods", "-n", NAMESPACE, "-l", ROUTER_PODS)["items"]
        self.rows = [
            row
            for pod in pods
            for line in raw(_ledger_of(pod["metadata"]["name"])).splitlines()
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
    return f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{AGENT_PORT}/proxy/ledger?model={MODEL}"
