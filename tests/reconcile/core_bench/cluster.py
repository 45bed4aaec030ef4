"""What runs in a cluster, in memory: Deployments make pods, routers follow their table, a judge looks at releases."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision, Role
from penstock.api.names import LABEL_DEPLOYMENT, LABEL_REVISION, LABEL_ROUTER, router_name
from penstock.api.reasons import Reason
from penstock.api.router import Router
from penstock.reconcile.observing import pod_of
from penstock.reconcile.routing_view import route_view
from penstock.reconcile.snapshot import Documents, Surroundings
from penstock.reconcile.table import entries_in
from penstock.world import AgentReport, Decision, Evidence, Judgement, Live, Manifest, Pod, RouteView

from core_bench.api_model import ApiModel, Document

Behaviour = Callable[[Document, datetime], Document]
"""From a pod and the time to the pod's status."""


def healthy(pod: Document, _now: datetime) -> Document:
    return {
        "phase": "Running",
        "podIP": f"10.0.0.{int(pod['metadata']['uid'][4:]) % 250}",
        "conditions": [{"type": "Ready", "status": "True"}],
    }


def saying(words: str) -> Behaviour:
    """Ready, and the container that fetched the model has said this when it was done."""

    def behave(pod: Document, now: datetime) -> Document:
        ended = {"exitCode": 0, "reason": "Completed", "message": words}
        fetch = {"name": "fetch", "restartCount": 0, "state": {"terminated": ended}}
        return healthy(pod, now) | {"initContainerStatuses": [fetch]}

    return behave


def never_ready(_pod: Document, _now: datetime) -> Document:
    return {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}


def unschedulable(_pod: Document, _now: datetime) -> Document:
    says = "0/3 nodes are available: 3 Insufficient cpu."
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": says}],
    }


def crashing(exits: int, code: int = 1, message: str = "") -> Behaviour:
    """The model server ended so often already, the last time a moment ago."""

    def behave(_pod: Document, now: datetime) -> Document:
        ended = {
            "exitCode": code,
            "reason": "Error",
            "message": message,
            "startedAt": _text(now - timedelta(seconds=9)),
            "finishedAt": _text(now - timedelta(seconds=2)),
        }
        server = {
            "name": "server",
            "restartCount": exits - 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "lastState": {"terminated": ended},
        }
        return {
            "phase": "Running",
            "podIP": "10.0.1.1",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [server],
        }

    return behave


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


Judge = Callable[[int, int], Judgement]
"""Weight and requests so far -> judgement."""


def holds(_weight: int, _requests: int) -> Judgement:
    return Judgement(Decision.HOLD, Reason.COLLECTING, "Nothing decided yet.", 0.0, 0.01)


def promotes(weight: int, requests: int) -> Judgement:
    """A good candidate: decided after some requests."""
    if requests >= 1500:
        return Judgement(Decision.PROMOTE, Reason.HARM_EXCLUDED, "Harm is excluded.", -1.0, 0.001)
    return holds(weight, requests)


def rolls_back_at(share: int) -> Judge:
    """A candidate that is found out at this weight."""

    def judge(weight: int, requests: int) -> Judgement:
        if weight >= share:
            return Judgement(Decision.ROLLBACK, Reason.WORSE, "The candidate is worse on failed.", 9.0, 0.5)
        return holds(weight, requests)

    return judge


@dataclass
class Counter:
    """The evidence room: counts requests of one release; what it has not stored is lost when it restarts."""

    judge: Judge
    rate: int = 100
    release: tuple[str, datetime] | None = None
    epoch: int = 0
    requests: int = 0
    total: int = 0
    decided: Judgement | None = None

    def count(self, revision: ModelRevision, live_epoch: int | None, seconds: float) -> None:
        """Requests arrive for the candidate once its weight is live."""
        release = revision.record.release
        assert release is not None
        identity = (revision.metadata.name, release.started_at)
        if self.release != identity:
            stored = [int(number) for number in (release.judge or "0/0/0").split("/")[:3]]
            self.release, self.decided = identity, None
            self.total, self.epoch, self.requests = stored
        if self.epoch != release.epoch:
            self.epoch, self.requests = release.epoch, 0
        if live_epoch is not None and live_epoch >= release.epoch and release.weight:
            self.requests += int(self.rate * seconds)
            self.total += int(self.rate * seconds)

    def forget(self) -> None:
        """The process was killed."""
        self.release = None

    def evidence(self, weight: int, now: datetime) -> Evidence | None:
        if self.release is None or weight == 0:
            return None
        judgement = self.decided or self.judge(weight, self.total)
        if judgement.decision is Decision.ROLLBACK:
            self.decided = judgement
        revision, started_at = self.release
        return Evidence(
            revision=revision,
            started_at=started_at,
            judgement=judgement,
            as_of=now,
            epoch=self.epoch,
            requests=self.requests,
            memory=f"{self.total}/{self.epoch}/{self.requests}/{now.timestamp():.0f}",
        )


@dataclass
class Cluster:
    """Everything but the operator."""

    api: ApiModel
    counter: Counter
    name: str = "fraud"
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    """How the pods of a revision behave; healthy by default."""
    pods: dict[str, Document] = field(default_factory=dict)
    serving: dict[str, int] = field(default_factory=dict)
    """Epoch that each router pod serves."""
    routed: dict[str, int] = field(default_factory=dict)
    """Candidate pods that each router pod knows."""
    made: int = 0
    uid: str = ""
    splits: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    """What each epoch stood for."""

    def elapse(self, span: timedelta) -> None:
        """Let time pass; controllers and routers do their work, requests arrive."""
        self.api.now += span
        self.api.collect_garbage()
        self._keep_pods()
        self._route()
        candidate = self._candidate()
        if candidate is not None:
            live = min(self.serving.values(), default=None)
            self.counter.count(candidate, live, span.total_seconds())

    def _keep_pods(self) -> None:
        for document in self.api.list("Deployment", {}):
            name, uid = document["metadata"]["name"], document["metadata"]["uid"]
            own = [pod for pod in self.pods.values() if pod["owner"] == uid]
            wanted = document["spec"]["replicas"]
            for pod in own[wanted:]:
                del self.pods[pod["metadata"]["name"]]
            for pod in own[:wanted]:
                self._start(pod, name)
            for _ in range(wanted - len(own)):
                self._make(document)
            ready = sum(1 for pod in self.pods.values() if pod["owner"] == uid and is_ready(pod))
            status = {
                "readyReplicas": ready,
                "updatedReplicas": wanted,
                "observedGeneration": document["metadata"]["generation"],
            }
            self.api.replace_status("Deployment", name, uid, None, status)
        uids = {document["metadata"]["uid"] for document in self.api.list("Deployment", {})}
        for pod in list(self.pods.values()):
            if pod["owner"] not in uids:
                del self.pods[pod["metadata"]["name"]]

    def _make(self, workload: Document) -> None:
        self.made += 1
        name = f"{workload['metadata']['name']}-{self.made:05d}"
        self.pods[name] = {
            "owner": workload["metadata"]["uid"],
            "metadata": {
                "name": name,
                "uid": f"pod-{self.made}",
                "labels": workload["spec"]["template"]["metadata"]["labels"],
                "creationTimestamp": _text(self.api.now),
            },
            "spec": workload["spec"]["template"]["spec"],
            "status": {"phase": "Pending", "conditions": []},
        }

    def _start(self, pod: Document, revision: str) -> None:
        pod["status"] = self.behaviour.get(revision, healthy)(pod, self.api.now)

    def _route(self) -> None:
        table = self._table()
        routers = [pod for pod in self.pods.values() if LABEL_ROUTER in pod["metadata"]["labels"] and is_ready(pod)]
        entry = entries_in(table).get(self.name)
        if entry is None:
            return
        if self.uid != entry.uid:
            self.uid, self.serving, self.splits = entry.uid, {}, {}
        split = (entry.stable, entry.candidate, entry.weight)
        assert self.splits.setdefault(entry.epoch, split) == split, "an epoch stood for two splits"
        known = [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(LABEL_REVISION) == entry.candidate]
        for pod in routers:
            name = pod["metadata"]["name"]
            assert entry.epoch >= self.serving.get(name, 0), "a router was offered an older epoch"
            self.serving[name] = entry.epoch
            self.routed[name] = sum(map(is_ready, known))

    def _table(self) -> Live | None:
        document = self.api.get("ConfigMap", router_name("default"))
        return None if document is None else Live(document)

    def _candidate(self) -> ModelRevision | None:
        found = [read(ModelRevision, it) for it in self.api.list("ModelRevision", {LABEL_DEPLOYMENT: self.name})]
        return next((it for it in found if it.record.role is Role.CANDIDATE and it.record.release is not None), None)

    def documents(self, exact: list[tuple[str, str]]) -> Documents:
        """What the shell reads for the deployment."""
        label = {LABEL_DEPLOYMENT: self.name}
        objects = [document for key in exact if (document := self.api.get(*key)) is not None]
        return Documents(
            revisions=tuple(self.api.list("ModelRevision", label)),
            workloads=tuple(self.api.list("Deployment", label)),
            pods=tuple(pod for pod in self.pods.values() if label.items() <= pod["metadata"]["labels"].items()),
            objects=(*self.api.list("Service", label), *self.api.list("NetworkPolicy", label), *objects),
        )

    def around(self, deployment: Manifest) -> Surroundings:
        """What the shell knows besides."""
        candidate = self._candidate()
        weight = 0
        if candidate is not None and candidate.record.release is not None:
            weight = candidate.record.release.weight
        return Surroundings(route=self.view(deployment), evidence=self.counter.evidence(weight, self.api.now))

    def view(self, deployment: Manifest) -> RouteView:
        """What the shell learns of the routers."""
        router = self.api.get("Router", "default")
        metadata = read(ModelDeployment, deployment).metadata
        reports = [
            AgentReport(name, {metadata.uid: epoch}, {metadata.uid: self.routed[name]}, {})
            for name, epoch in self.serving.items()
        ]
        made = None if router is None else read(Router, router)
        return route_view(metadata, made, self._table(), self.router_pods(), reports)

    def router_pods(self) -> list[Pod]:
        """The router's pods."""
        return [pod_of(pod) for pod in self.pods.values() if LABEL_ROUTER in pod["metadata"]["labels"]]


def is_ready(pod: Document) -> bool:
    """Whether a pod takes requests."""
    conditions: list[dict[str, Any]] = pod["status"]["conditions"]
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)
