"""grpc.health.v1, as the kubelet's gRPC probes ask it."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from penstock_serving.rpc.servicer import SERVICE


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Check answers from the server's readiness as it is now.

    Watch is not offered (UNIMPLEMENTED), which clients take for healthy, as the protocol of health checks says.
    """

    def __init__(self, why_not_ready: Callable[[], str]) -> None:
        self._why_not_ready = why_not_ready

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  (the service's own name)
        """SERVING or NOT_SERVING; NOT_FOUND for a service that is not here."""
        if request.service not in {"", SERVICE}:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service here")
        states = health_pb2.HealthCheckResponse
        return states(status=states.NOT_SERVING if self._why_not_ready() else states.SERVING)
