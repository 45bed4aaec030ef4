"""The kubelet's part, and the scheduler's: every pod is bound to the one node, runs and is ready, unless told otherwise."""

import contextlib
import itertools
import threading
from datetime import UTC, datetime

import httpx

from operator_bench.admin import MERGE, Admin, Json

NODE = "bench-node"
ROUTER_COMPONENT = "router"
FETCH = "fetch"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    """Runs in a thread. Pods of a revision in `unready` do not become ready. Router pods get addresses of their own on
    this machine, server pods such as no test reaches."""

    def __init__(self, kubeconfig) -> None:
        self._admin = Admin(kubeconfig)
        self.unready: set[str] = set()
        self.last_words: dict[str, str] = {}
        """What the containers that fetch models have said when they were done, by name of the ModelDeployment."""
        self.routerless: set[str] = set()
        """Namespaces whose router pods do not become ready."""
        self.routers: dict[str, tuple[str, str]] = {}
        """By address: namespace and name of the router pod."""
        self._addresses: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def start(self) -> None:
        """Add the node and begin."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        self._admin.answer("POST", "/api/v1/nodes", node)
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Leave everything as it is."""
        self._stop.set()
        self._thread.join(30)
        self._admin.close()

    def _run(self) -> None:
        for turn in itertools.count():
            if self._stop.wait(0.1):
                return
            # The API server is busy, or ends with the session.
            with contextlib.suppress(httpx.HTTPError):
                if turn % 50 == 49:
                    self._beat()
                for pod in self._admin.call("GET", "/api/v1/pods")["items"]:
                    self._look_at(pod)

    def _beat(self) -> None:
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now(),
                     "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
        self._admin.answer("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [condition]}}, form=MERGE)

    def _look_at(self, pod: Json) -> None:
        metadata, path = pod["metadata"], _path(pod)
        if metadata.get("deletionTimestamp"):
            self._admin.answer("DELETE", path, {"gracePeriodSeconds": 0})
            return
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]}, "target": target}
            self._admin.answer("POST", f"{path}/binding", binding)
        ready = metadata["labels"].get("penstock.dev/revision") not in self.unready
        if metadata["labels"].get("app.kubernetes.io/component") == ROUTER_COMPONENT:
            ready = metadata["namespace"] not in self.routerless
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
        if conditions.get("Ready") != str(ready) or pod["status"].get("phase") != "Running":
            self._admin.answer("PATCH", f"{path}/status", {"status": self._status(pod, ready)}, form=MERGE)

    def _status(self, pod: Json, ready: bool) -> Json:
        address = self._address(pod)
        conditions = [
            {"type": kind, "status": str(holds), "lastTransitionTime": _now()}
            for kind, holds in (
                ("PodScheduled", True),
                ("Initialized", True),
                ("ContainersReady", ready),
                ("Ready", ready),
            )
        ]
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": conditions,
            "initContainerStatuses": [
                _ended(c, self.last_words.get(pod["metadata"]["labels"].get("penstock.dev/deployment", ""), ""))
                for c in pod["spec"].get("initContainers", ())
                if c["name"] == FETCH
            ],
            "containerStatuses": [_running(c, ready) for c in pod["spec"]["containers"]],
        }

    def _address(self, pod: Json) -> str:
        metadata = pod["metadata"]
        if metadata["uid"] not in self._addresses:
            high, low = divmod(next(self._numbers), 250)
            is_router = metadata["labels"].get("app.kubernetes.io/component") == ROUTER_COMPONENT
            address = f"127.77.{high}.{low + 1}" if is_router else f"10.77.{high}.{low + 1}"
            self._addresses[metadata["uid"]] = address
            if is_router:
                self.routers[address] = (metadata["namespace"], metadata["name"])
        return self._addresses[metadata["uid"]]


def _path(pod: Json) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _ended(container: Json, words: str) -> Json:
    ended = {"exitCode": 0, "reason": "Completed", "message": words}
    return _status(container, ready=True, started=False, state={"terminated": ended})


def _running(container: Json, ready: bool) -> Json:
    return _status(container, ready=ready, started=True, state={"running": {"startedAt": _now()}})


def _status(container: Json, *, ready: bool, started: bool, state: Json) -> Json:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "ready": ready,
        "started": started,
        "restartCount": 0,
        "state": state,
    }
