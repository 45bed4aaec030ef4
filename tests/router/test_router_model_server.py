"""The model server of the pods behind the router: its callers speak HTTP/1.1, HTTP/2 or gRPC to one port."""

import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from penstock_serving.protocol import open_inference_pb2 as pb
from router_bench.grpc_load import GrpcLoad
from router_bench.model_servers import COLUMNS, MODEL, PenstockServer, packaged
from router_bench.routers import Router, arm, free_port, model, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the client's own dependencies
    import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

STABLE, CANDIDATE = f"{MODEL}-1", f"{MODEL}-2"


class Deployed:
    """Two revisions of one model behind the router."""

    def __init__(self, router: Router, root: Path) -> None:
        self.router, self.port, self.name = router, free_port(), f"m{free_port()}"
        self._root, self._digest = root, packaged(root)
        self.servers = {revision: self.started(revision) for revision in (STABLE, CANDIDATE)}
        self.epoch = 0

    def started(self, name: str) -> PenstockServer:
        """Another server of the model."""
        return PenstockServer(self._root, self._digest, name)

    def split(self, weight: int, *beside: PenstockServer) -> None:
        """Give the candidate this weight, in an epoch of its own; `beside` are more pods of stable."""
        self.epoch += 1
        pods = {STABLE: (self.servers[STABLE], *beside), CANDIDATE: (self.servers[CANDIDATE],)}
        shares = ((STABLE, "stable", 10_000 - weight), (CANDIDATE, "candidate", weight))
        arms = [
            arm(it, role, share, [p.http for p in pods[it]], [p.grpc for p in pods[it]]) for it, role, share in shares
        ]
        self.router.put(model(self.name, self.port, self.epoch, arms, traffic={"tryTimeout": "5s"}))

    def counts(self, role: str) -> dict[str, Any]:
        """What the ledger says of an arm in this epoch."""
        return self.router.counts(self.name, role, version=self.epoch)

    def client(self) -> Any:
        """Triton's client, as it comes."""
        return triton_grpc.InferenceServerClient(f"127.0.0.1:{self.port}")

    def infer(self, *, columns: tuple[str, ...] = COLUMNS, **more: Any) -> Any:
        """One gRPC call of one row."""
        with self.client() as client:
            return client.infer(MODEL, _inputs(columns), **more)

    def settled(self, requests: int) -> None:
        """Wait for so many requests of all epochs in the ledger."""
        self.router.counts(self.name, "stable", requests)

    def total(self) -> int:
        """All requests that the ledger knows."""
        return sum(row["requests"] for row in self.router.rows(self.name))


def _inputs(columns: tuple[str, ...]) -> list[Any]:
    made = []
    for column in columns:
        tensor = triton_grpc.InferInput(column, [1], "FP64")
        tensor.set_data_from_numpy(np.array([1.5]))
        made.append(tensor)
    return made


def _body(columns: tuple[str, ...] = COLUMNS) -> dict[str, Any]:
    return {"inputs": [{"name": it, "datatype": "FP64", "shape": [1], "data": [1.5]} for it in columns]}


@pytest.fixture(scope="module")
def deployed(shared_router: Router, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    made = Deployed(shared_router, tmp_path_factory.mktemp("models"))
    yield made
    made.router.table.remove(made.name)
    for server in made.servers.values():
        server.die()


@pytest.fixture
def channel(deployed: Deployed) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{deployed.port}") as made:
        yield made


def test_one_port_answers_http_1_http_2_and_grpc_alike(deployed: Deployed) -> None:
    deployed.split(0)
    before = deployed.total()
    answer = deployed.infer(outputs=[triton_grpc.InferRequestedOutput("predict_proba")])
    scores = answer.as_numpy("predict_proba")
    body = _body() | {"outputs": [{"name": "predict_proba"}]}
    url = f"http://127.0.0.1:{deployed.port}/v2/models/{MODEL}/infer"
    with httpx.Client(http1=False, http2=True) as second, httpx.Client() as first:
        for client, version in ((first, "HTTP/1.1"), (second, "HTTP/2")):
            told = client.post(url, json=body)
            assert (told.status_code, told.http_version) == (200, version)
            assert told.json()["outputs"][0]["data"] == scores.reshape(-1).tolist()
    deployed.settled(before + 3)
    assert deployed.counts("stable") == {"requests": 3}


def test_the_weight_splits_grpc(deployed: Deployed) -> None:
    deployed.split(3_000)
    before = deployed.total()
    with deployed.client() as client:
        answers = Counter(client.infer(MODEL, _inputs(COLUMNS)).get_response().model_version for _ in range(200))
    assert answers.keys() == {STABLE, CANDIDATE}
    assert 30 <= answers[CANDIDATE] <= 95
    deployed.settled(before + 200)
    assert deployed.counts("candidate") == {"requests": answers[CANDIDATE]}
    assert deployed.counts("stable") == {"requests": answers[STABLE]}


def test_a_refusal_counts_the_same_over_http_and_grpc(deployed: Deployed) -> None:
    deployed.split(10_000)
    before = deployed.total()
    told = httpx.post(f"http://127.0.0.1:{deployed.port}/v2/models/{MODEL}/infer", json=_body(("amount", "colour")))
    assert told.status_code == 400
    with pytest.raises(InferenceServerException) as refused:
        deployed.infer(columns=("amount", "colour"))
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    with deployed.client() as client, pytest.raises(InferenceServerException) as missing:
        client.infer("other", _inputs(COLUMNS))
    assert missing.value.status() == "StatusCode.NOT_FOUND"
    deployed.settled(before + 3)
    assert deployed.counts("candidate") == {"requests": 3, "refused": 2, "repeats": 2}


def test_a_callers_own_mistakes_over_grpc_are_neither_counted_nor_repeated(
    deployed: Deployed, channel: grpc.Channel
) -> None:
    deployed.split(10_000)
    before = deployed.total()
    told = []
    for method, message in (("ModelInfer", b"x" * 2**21), ("ModelExplain", b"")):
        call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        with pytest.raises(grpc.RpcError) as refused:
            call(message, timeout=30)
        told.append(refused.value.code())
    assert told == [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED]
    deployed.settled(before + 2)
    assert deployed.counts("candidate") == {"requests": 2}


def test_what_a_caller_may_ask_over_grpc_besides_predictions(deployed: Deployed, channel: grpc.Channel) -> None:
    deployed.split(5_000)
    before = deployed.total()
    serving = health_pb2.HealthCheckResponse.SERVING
    assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == serving
    with deployed.client() as client:
        assert client.is_server_live()
        assert client.is_server_ready()
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (told,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked)
    assert "inference.GRPCInferenceService" in {it.name for it in told.list_services_response.service}
    with deployed.client() as client:
        assert {it.name for it in client.get_model_metadata(MODEL).inputs} == set(COLUMNS)
    deployed.settled(before + 1)
    assert deployed.total() == before + 1


def test_a_pod_that_is_deleted_breaks_no_call(deployed: Deployed) -> None:
    leaving = deployed.started("leaving")
    deployed.split(0, leaving)
    values = pb.InferTensorContents(fp64_contents=[1.5])
    inputs = [
        pb.ModelInferRequest.InferInputTensor(name=it, datatype="FP64", shape=[1], contents=values) for it in COLUMNS
    ]
    message = pb.ModelInferRequest(model_name=MODEL, inputs=inputs).SerializeToString()
    with GrpcLoad(deployed.port, 12, message) as load:
        until(lambda: load.seen.total() > 100, "calls go well")
        leaving.terminate()
        time.sleep(0.5)  # the router learns of it later than the pod
        deployed.split(0)
        until(lambda: leaving.ended, "it has stopped")
        before = load.seen.total()
        until(lambda: load.seen.total() > before + 100, "calls go on")
    leaving.die()
    assert dict(load.seen) == {"OK": load.seen.total()}
    deployed.settled(load.seen.total())
    assert "failed" not in deployed.counts("stable")


def test_a_killed_candidate_fails_over_grpc_and_no_caller_sees_it(deployed: Deployed) -> None:
    deployed.split(5_000)
    before = deployed.total()
    deployed.servers[CANDIDATE].die()
    with deployed.client() as client:
        answers = Counter(client.infer(MODEL, _inputs(COLUMNS)).get_response().model_version for _ in range(60))
    assert answers == {STABLE: 60}
    deployed.settled(before + 60)
    candidate = deployed.counts("candidate")
    assert candidate["failed"] == candidate["resets"] == candidate["requests"] > 10
    assert "failed" not in deployed.counts("stable")
