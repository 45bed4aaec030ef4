"""The demo, run as its users run it, and its cluster afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.testing import RunningCluster, running

ROOT = Path(__file__).parents[3]
NAMESPACE = "penstock-demo"
OPERATOR_NAMESPACE = "penstock-system"
ROUTERS = "app.kubernetes.io/component=router"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """`lines` is what the demo printed, `code` its exit code."""

    cluster: RunningCluster
    code: int
    lines: list[str]

    def get(self, *arguments: str, namespace: str = NAMESPACE) -> Json:
        return json.loads(self.cluster.kubectl("get", *arguments, "-n", namespace, "-o", "json"))

    def items(self, *arguments: str, namespace: str = NAMESPACE) -> list[Json]:
        return self.get(*arguments, namespace=namespace)["items"]

    def raw(self, path: str) -> str:
        return self.cluster.kubectl("get", "--raw", path)

    def apply(self, *objects: Json) -> None:
        for item in objects:
            self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(item))

    def deployment(self, name: str, version: str, steps: list[Json]) -> Json:
        """A ModelDeployment of one of the demo's versions, in the demo's own words."""
        spec = self.get("modeldeployment", "tumour")["spec"]
        made = (revision["spec"]["model"] for revision in self.items("modelrevisions"))
        model = next(model for model in made if model["uri"].endswith(f"/{version}.tar.gz"))
        return {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "model": {"uri": model["uri"], "digest": model["digest"]},
                "runtime": {"resources": spec["runtime"]["resources"]},
                "traffic": {"tryTimeout": spec["traffic"]["tryTimeout"]},
                "rollout": {"steps": steps},
            },
        }

    def status(self, name: str) -> Json:
        return self.get("modeldeployment", name).get("status", {})

    def until_ready(self, name: str) -> None:
        place = ("-n", NAMESPACE, "--timeout=110s")
        self.cluster.kubectl("wait", "--for=condition=Ready", f"modeldeployment/{name}", *place)


@contextmanager
def told(folder: Path) -> Iterator[Story]:
    """Run the demo on a node of its own, which ends with the tests."""
    with running("node", folder / "penstock" / "node") as cluster:
        finished = subprocess.run(
            [sys.executable, "examples/demo"],
            cwd=ROOT,
            env=os.environ | {"XDG_STATE_HOME": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=900,
        )
        yield Story(cluster, finished.returncode, finished.stdout.splitlines())


def until(condition: Callable[[], object], within: float, what: str) -> None:
    """Wait for a condition; the test fails with `what` when it does not come about in so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"after {within:.0f} s it is not so: {what}"
        time.sleep(0.25)
