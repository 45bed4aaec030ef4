"""The gRPC server: the protocol's service, health and reflection, within limits."""

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection, reflection_pb2

from penstock_serving.protocol import open_inference_pb2
from penstock_serving.rpc.health import Health
from penstock_serving.rpc.servicer import SERVICE, About, Hooks, Servicer

_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of one request; requests at once on one connection (more wait); processes that share the port.

    How many are computed at once is decided where they are submitted, so that health is answered however busy it is.
    """

    message_bytes: int
    requests: int
    processes: int


async def serve(address: str, about: About, hooks: Hooks, limits: Limits) -> grpc.aio.Server:
    """Start serving at `address` ("host:port") on the running event loop; stop it by its `stop(grace)`.

    Raises `OSError` when the address cannot be bound.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_send_message_length", _UNLIMITED),
            ("grpc.max_concurrent_streams", limits.requests),
            ("grpc.so_reuseport", int(limits.processes > 1)),
        ],
    )
    server.add_generic_rpc_handlers((Servicer(about, hooks).handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(Health(hooks.why_not_ready), server)
    _reflect(server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be bound for gRPC") from error
    await server.start()
    return server


def _reflect(server: grpc.aio.Server) -> None:
    pool = open_inference_pb2.DESCRIPTOR.pool
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), server, pool)
