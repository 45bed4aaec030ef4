"""Every status that is ever stored, held against what is published of it, and against the world of that moment.

All kinds share one store, so resource versions order everything: what was there when a status was written is known.
"""

import json
import sys
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx

from operator_bench.admin import Admin, ExpiredError, Json

sys.path.append(str(Path(__file__).parents[2] / "reconcile"))

from core_bench.published import assert_published
from penstock.api.kstatus import kubectl_wait

OURS = ("ModelDeployment", "Router")
WATCHED = {
    "ModelDeployment": "/apis/penstock.dev/v1alpha1/modeldeployments",
    "Router": "/apis/penstock.dev/v1alpha1/routers",
    "Service": "/api/v1/services",
    "ConfigMap": "/api/v1/configmaps",
    "Pod": "/api/v1/pods",
}
SETTLED = 1.5
"""Seconds after which all watches have told what a status was written upon."""
LOOKED_BACK = 300
"""Writes before that of a status within which the world was as it says: what others do meanwhile is no fault of it."""

Name = tuple[str, str, str]


class Statuses:
    """Watches in threads; `check` raises for everything wrong that was seen since the last time.

    Looks at the namespaces that a person made for the operator's tests; other tests write statuses of their own.
    """

    def __init__(self, kubeconfig: Path, person: Admin) -> None:
        self._admin = Admin(kubeconfig)
        self._namespaces = person.namespaces
        self._versions: dict[Name, list[tuple[int, Json | None]]] = defaultdict(list)
        self._unchecked: list[tuple[float, int, Json]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind,), daemon=True) for kind in WATCHED]
        self.checked = 0
        """Statuses checked so far."""
        self.ready = 0
        """Those among them that say Ready."""

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self._admin.close()

    def check(self, *, everything: bool = False) -> None:
        """Check what has settled; with `everything` wait for the rest. Raises AssertionError naming each fault."""
        assert all(thread.is_alive() for thread in self._threads), "a watch has ended"
        if everything:
            time.sleep(SETTLED)
        due = time.monotonic() - SETTLED
        with self._lock:
            settled = [it for it in self._unchecked if it[0] <= due]
            self._unchecked = [it for it in self._unchecked if it[0] > due]
            faults = [fault for _, version, document in settled for fault in self._faults(version, document)]
        self.checked += len(settled)
        assert not faults, "\n".join(faults)

    def _faults(self, version: int, document: Json) -> Iterator[str]:
        metadata = document["metadata"]
        told = f"{document['kind']} {metadata['namespace']}/{metadata['name']} at {version}"
        try:
            assert_published(document)
        except AssertionError as fault:
            yield f"{told}: {fault}: {json.dumps(document['status'])}"
        if document["kind"] == "ModelDeployment" and kubectl_wait(document):
            self.ready += 1
            missing = [self._missing(at, document) for at in self._moments(version)]
            if all(missing):
                yield f"{told} says Ready, but {missing[0]}: {json.dumps(document['status'])}"

    def _moments(self, version: int) -> Iterator[int]:
        yield version
        yield from range(version - 1, version - LOOKED_BACK, -10)

    def _missing(self, at: int, document: Json) -> str:
        """What of a call's way was not there at that version; empty when it was whole."""
        namespace, name = document["metadata"]["namespace"], document["metadata"]["name"]
        table = self._at(at, ("ConfigMap", namespace, "penstock-router-default"))
        models = [] if table is None else json.loads(table["data"]["table.json"])["models"]
        model = next((it for it in models if it["name"] == name), None)
        if model is None:
            return "the router has no port for it"
        service = self._at(at, ("Service", namespace, name))
        if service is None or service["spec"]["ports"][0]["targetPort"] != model["port"]:
            return "no Service leads to the router"
        if not self._ready_pods(at, namespace, service["spec"]["selector"]):
            return "no router pod was ready"
        arms = {arm["role"]: arm["revision"] for arm in model["arms"]}
        if not self._ready_pods(at, namespace, {"penstock.dev/revision": arms["stable"]}):
            return "no pod of the stable revision was ready"
        told = document["status"]["phase"], document["status"]["stable"]["revision"]
        if told[0] in ("Stable", "Watching") and arms != {"stable": told[1]}:
            return f"the table has {arms}"
        return ""

    def _ready_pods(self, at: int, namespace: str, labels: dict[str, str]) -> bool:
        pods = (self._at(at, key) for key in list(self._versions) if key[:2] == ("Pod", namespace))
        return any(
            labels.items() <= pod["metadata"]["labels"].items()
            and any(it["type"] == "Ready" and it["status"] == "True" for it in pod["status"].get("conditions", ()))
            for pod in pods
            if pod is not None
        )

    def _at(self, version: int, key: Name) -> Json | None:
        """An object as it was."""
        versions = self._versions.get(key, [])
        index = bisect_right(versions, version, key=lambda it: it[0])
        return versions[index - 1][1] if index else None

    def _run(self, kind: str) -> None:
        position = "0"
        while not self._stop.wait(0.1):
            try:
                for event in self._admin.watch(WATCHED[kind], position):
                    document = event["object"]
                    position = document["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(kind, event["type"], document)
                    if self._stop.is_set():
                        return
            except ExpiredError:
                position = "0"
            except httpx.HTTPError:
                # Its time is up, the API server is busy, or ends with the session.
                continue

    def _take(self, kind: str, what: str, document: Json) -> None:
        metadata, version = document["metadata"], int(document["metadata"]["resourceVersion"])
        gone = what == "DELETED"
        with self._lock:
            versions = self._versions[kind, metadata["namespace"], metadata["name"]]
            if versions and versions[-1][0] >= version:
                return
            versions.append((version, None if gone else document))
            if kind in OURS and not gone and metadata["namespace"] in self._namespaces:
                self._unchecked.append((time.monotonic(), version, document | {"kind": kind}))
