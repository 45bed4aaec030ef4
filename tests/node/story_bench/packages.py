"""Two models beside the demo's: one that compiles, and one whose compiled form the proof finds wrong."""

import base64
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from penstock.api.service import SERVICE_GRPC_PORT
from penstock_serving.jobs.package import package
from penstock_serving.model.frame import matrix
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier

from story_bench.story import NAMESPACE, Json, Story

STORE = "iris-store"
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
MILLIMETRES = load_iris().data * 10
MODELS: Mapping[str, Any] = {
    "compiled": LogisticRegression(max_iter=2000),
    # on unscaled columns all three scores fall below where exp() ends, and the quotient of nothings is left to rounding
    "fallback": SGDClassifier(loss="log_loss", random_state=0),
}
_ASK = """
import sys, urllib.request
body = sys.stdin.buffer.read()
call = urllib.request.Request(sys.argv[1], body or None, {"content-type": "application/json"})
with urllib.request.urlopen(call, timeout=10) as answer:
    sys.stdout.buffer.write(answer.read())
"""
_CALL = """
import sys
import grpc
from google.protobuf import json_format
from penstock_serving.protocol import open_inference_pb2 as pb
request = json_format.Parse(sys.stdin.read(), pb.ModelInferRequest())
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )
    print(json_format.MessageToJson(call(request, timeout=10), preserving_proto_field_name=True))
"""


@dataclass(frozen=True, slots=True)
class Iris:
    """A fitted model and the digest of its package."""

    name: str
    model: Any
    digest: str


def publish(story: Story, folder: Path) -> dict[str, Iris]:
    """Fit and package the models, and let a web server like the demo's have their archives."""
    frame = dict(zip(COLUMNS, MILLIMETRES.T, strict=True))
    made, archives = {}, {}
    for name, model in MODELS.items():
        fitted = model.fit(matrix(frame), load_iris().target)
        made[name] = Iris(name, fitted, package(fitted, frame, folder / name))
        archives[f"{name}.tar.gz"] = base64.b64encode(_archive(folder / name)).decode()
    story.apply(*_store(story, archives))
    place = ("-n", NAMESPACE, "--timeout=60s")
    story.cluster.kubectl("rollout", "status", f"deployment/{STORE}", *place)
    return made


def deployment(iris: Iris) -> Json:
    """A ModelDeployment of it, with one pod."""
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": iris.name, "namespace": NAMESPACE},
        "spec": {
            "model": {
                "uri": f"http://{STORE}.{NAMESPACE}.svc.cluster.local/{iris.name}.tar.gz",
                "digest": iris.digest,
            },
            "runtime": {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}}},
        },
    }


def answers(story: Story, name: str) -> dict[str, Any]:
    """What callers in the cluster get for every flower through the model's Service, by output: arrays [rows, …]."""
    inputs = [
        {"name": column, "datatype": "FP64", "shape": [len(values)], "data": values.tolist()}
        for column, values in zip(COLUMNS, MILLIMETRES.T, strict=True)
    ]
    request = {"inputs": inputs, "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}
    answer = json.loads(_ask(story, f"http://{name}.{NAMESPACE}.svc/v2/models/{name}/infer", json.dumps(request)))
    return {output["name"]: np.reshape(output["data"], output["shape"]) for output in answer["outputs"]}


def grpc_answers(story: Story, name: str) -> dict[str, Any]:
    """The same over gRPC, at the port of the Service that is for it."""
    inputs = [
        {"name": it, "datatype": "FP64", "shape": [len(values)], "contents": {"fp64_contents": values.tolist()}}
        for it, values in zip(COLUMNS, MILLIMETRES.T, strict=True)
    ]
    request = {"model_name": name, "inputs": inputs, "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}
    answer = json.loads(_run(story, _CALL, f"{name}.{NAMESPACE}.svc:{SERVICE_GRPC_PORT}", json.dumps(request)))
    contents = {it["name"]: [float(value) for value in next(iter(it["contents"].values()))] for it in answer["outputs"]}
    return {it["name"]: np.reshape(contents[it["name"]], [int(n) for n in it["shape"]]) for it in answer["outputs"]}


def metadata(story: Story, name: str) -> str:
    """What the model server says of the model, as text."""
    return _ask(story, f"http://{name}.{NAMESPACE}.svc/v2/models/{name}", "")


def _ask(story: Story, url: str, body: str) -> str:
    return _run(story, _ASK, url, body)


def _run(story: Story, program: str, target: str, body: str) -> str:
    """From the pod of the demo's callers."""
    command = ("exec", "-i", "deployment/caller", "-n", NAMESPACE, "--", "python", "-c", program, target)
    return story.cluster.kubectl(*command, stdin=body)


def _archive(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(directory.iterdir()):
            archive.add(path, path.name)
    return buffer.getvalue()


def _store(story: Story, archives: Mapping[str, str]) -> list[Json]:
    """The demo's web server once more, over other files: to a running pod the kubelet brings a change after a minute."""
    template = story.get("deployment", "store")["spec"]["template"]["spec"]
    (container,) = template["containers"]
    port = int(container["command"][3])
    spec = template | {"volumes": [{"name": "files", "configMap": {"name": STORE}}]}
    labels, about = {"app": STORE}, {"name": STORE, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "binaryData": dict(archives)},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": about,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": about,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": port}]},
        },
    ]
