"""What must hold whenever a status is written: it fits, and where it says Ready, calls really get through."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from penstock.api.kstatus import kubectl_wait
from penstock.api.names import router_name

from core_bench.api_model import ApiModel
from core_bench.published import MAX_BYTES

Pods = Iterable[Mapping[str, Any]]


def assert_sound(api: ApiModel, pods: Pods, serving: Mapping[str, int], name: str) -> None:
    """Raise AssertionError when a ModelDeployment's status promises what is not so. Args: `pods` of the whole namespace;
    `serving` is the epoch that each router pod serves."""
    document = api.objects[("ModelDeployment", name)]
    assert len(json.dumps(document["status"])) <= MAX_BYTES
    if kubectl_wait(document):
        assert_reachable(api, list(pods), serving, document)


def assert_reachable(api: ApiModel, pods: list[Mapping[str, Any]], serving: Mapping[str, int], document: Any) -> None:
    """Every part of a call's way is there: Service, port, ready routers that have the model, ready pods behind them."""
    name, status = document["metadata"]["name"], document["status"]
    table = json.loads(api.objects[("ConfigMap", router_name("default"))]["data"]["table.json"])
    (model,) = (it for it in table["models"] if it["name"] == name)
    service = api.objects[("Service", name)]
    names = ("http", "grpc") if service["spec"]["type"] == "ClusterIP" else ("http",)
    ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert ports == dict.fromkeys(names, model["port"])
    selector = service["spec"]["selector"].items()
    routers = [pod["metadata"]["name"] for pod in pods if _is_ready(pod) and selector <= _labels(pod).items()]
    assert routers, "no router is ready"
    stable = next(arm["revision"] for arm in model["arms"] if arm["role"] == "stable")
    assert [pod for pod in pods if _is_ready(pod) and _labels(pod).get("penstock.dev/revision") == stable]
    if status["phase"] in ("Stable", "Watching"):
        assert [arm["revision"] for arm in model["arms"]] == [status["stable"]["revision"]]
        assert any(serving.get(router, -1) == model["epoch"] for router in routers), "no router has this table yet"


def _labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = pod["metadata"]["labels"]
    return found


def _is_ready(pod: Mapping[str, Any]) -> bool:
    return any(it["type"] == "Ready" and it["status"] == "True" for it in pod["status"]["conditions"])
