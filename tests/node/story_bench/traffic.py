"""Callers whose every request is counted, on their side and on the routers'."""

import json
from collections import Counter
from dataclasses import dataclass

from story_bench.story import NAMESPACE, ROUTERS, Json, Story, until

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass(frozen=True, slots=True)
class Counted:
    """What the callers got: answers by revision, and failures by kind."""

    answers: Counter[str]
    failures: Counter[str]

    @property
    def requests(self) -> int:
        return self.answers.total() + self.failures.total()


class Callers:
    """The demo's program in a pod that is not started again, so that its last word can be read."""

    def __init__(self, story: Story, name: str, model: str) -> None:
        self._story = story
        self._pod = name
        spec = story.get("deployment", "caller")["spec"]["template"]["spec"]
        container = spec["containers"][0]
        program, script, _, _, rate, rows = container["command"]
        container["command"] = [program, script, model, model, rate, rows]
        metadata = {"name": name, "namespace": NAMESPACE}
        spec |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 20}
        story.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        until(lambda: self.so_far().requests > 0, 60, f"{name} calls {model}")

    def so_far(self) -> Counted:
        said = self._story.cluster.run_kubectl("logs", self._pod, "-n", NAMESPACE).stdout
        counted = Counted(Counter(), Counter())
        for line in said.splitlines():
            for outcome, count in json.loads(line)["answers"].items():
                (counted.failures if outcome.startswith("failed") else counted.answers)[outcome] += count
        return counted

    def end(self) -> Counted:
        """Stop; everything they sent and got."""
        kill = ("exec", self._pod, "-n", NAMESPACE, "--", "python", "-c", "import os; os.kill(1, 15)")
        self._story.cluster.kubectl(*kill)
        self._story.cluster.kubectl(
            "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{self._pod}", "-n", NAMESPACE, "--timeout=60s"
        )
        counted = self.so_far()
        self._story.cluster.kubectl("delete", "pod", self._pod, "-n", NAMESPACE)
        return counted


def router_pods(story: Story) -> list[str]:
    """The names of the router pods that are not ending."""
    pods = story.items("pods", "-l", ROUTERS)
    return sorted(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])


def ledger(story: Story, model: str) -> list[Json]:
    """All rows of a model in all routers, in the order of time."""
    paths = [f"{PODS}/{pod}:9100/proxy/ledger?model={model}" for pod in router_pods(story)]
    rows = [json.loads(line) for path in paths for line in story.raw(path).splitlines()]
    return sorted(rows, key=lambda row: row["t"])
