"""The ways to ask for a prediction over HTTP: how bodies are read and written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock_serving.model.signature import Signature
from penstock_serving.protocol import v1, v2
from penstock_serving.protocol.call import Call, Encoded
from penstock_serving.protocol.outputs import OutputTensor
from penstock_serving.server.identity import Identity


@dataclass(frozen=True, slots=True)
class Wire:
    """One way to ask, with the name under which its requests are counted."""

    route: str
    decode: Callable[[bytes, int | None, Signature], Call]
    encode: Callable[[Call, Sequence[OutputTensor]], Encoded]


def v2_wire(identity: Identity) -> Wire:
    """The Open Inference Protocol's `infer`."""
    name, parameters, version = identity.name, identity.parameters, identity.version
    return Wire("infer", v2.decode_call, lambda call, outputs: v2.response(name, call, outputs, parameters, version))


def v1_wire() -> Wire:
    """The older protocol's `:predict`."""
    return Wire(
        "predict",
        lambda body, _json_length, signature: v1.decode_call(body, signature),
        lambda _call, outputs: v1.response(outputs),
    )
