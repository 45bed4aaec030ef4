"""KServe's own clients against a server: `REST_URL GRPC_ADDRESS EXAMPLE EXPECTED`. Runs in KServe's environment."""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

KINDS = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}


def request(example: dict, binary: bool) -> InferRequest:
    """The example as KServe's request, asking for both outputs."""
    inputs = []
    for tensor in example["inputs"]:
        made = InferInput(tensor["name"], tensor["shape"], tensor["datatype"], None if binary else tensor["data"])
        if binary:
            made.set_data_from_numpy(np.array(tensor["data"], dtype=KINDS[tensor["datatype"]]), binary_data=True)
        inputs.append(made)
    wanted = [RequestedOutput(name, {"binary_data": binary}) for name in ("predict", "predict_proba")]
    return InferRequest("fraud", inputs, request_id="42", request_outputs=wanted)


def check(answer, expected: dict) -> None:
    """The answer is scikit-learn's."""
    labels = [item.decode() if isinstance(item, bytes) else str(item) for item in answer.outputs[0].as_numpy().ravel()]
    assert labels == expected["predict"], labels
    np.testing.assert_allclose(answer.outputs[1].as_numpy().ravel(), expected["predict_proba"], atol=2e-6)
    assert answer.id == "42", answer.id


async def main(url: str, address: str, example: dict, expected: dict) -> None:
    """Every client, JSON and binary."""
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as rest:
        assert await rest.is_server_live(url)
        assert await rest.is_server_ready(url)
        assert await rest.is_model_ready(url, "fraud")
        for binary in (False, True):
            check(await rest.infer(url, request(example, binary), "fraud"), expected)
            print(f"InferenceRESTClient v2, {'binary' if binary else 'JSON'}: right")
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as rest:
        rows = [list(row) for row in zip(*(tensor["data"] for tensor in example["inputs"]), strict=True)]
        answer = await rest.infer(url, {"instances": rows}, "fraud")
        assert answer["predictions"] == expected["predict"], answer
        print("InferenceRESTClient v1: right")
    async with InferenceGRPCClient(address) as grpc:
        assert await grpc.is_server_live()
        assert await grpc.is_server_ready()
        assert await grpc.is_model_ready("fraud")
        for binary in (False, True):
            check(await grpc.infer(request(example, binary)), expected)
            print(f"InferenceGRPCClient, {'raw' if binary else 'typed'}: right")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *(json.loads(Path(path).read_text()) for path in sys.argv[3:5])))
