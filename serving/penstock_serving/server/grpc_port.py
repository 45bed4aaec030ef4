"""The gRPC port: the protocol's service around the same dispatcher."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from penstock_serving.model.load import Model
from penstock_serving.protocol.call import Call
from penstock_serving.server.config import Settings
from penstock_serving.server.dispatch import Dispatcher
from penstock_serving.server.engine import Computed
from penstock_serving.server.identity import Identity
from penstock_serving.server.lifecycle import Lifecycle
from penstock_serving.server.metrics import ServerMetrics
from penstock_serving.server.pages import VERSION, Pages, platform_of
from penstock_serving.server.tally import Tally

if TYPE_CHECKING:
    import grpc

ROUTE = "grpc"


def import_grpc() -> None:
    """Import what the port needs, so that workers need not each: as long as no server is made, gRPC has no thread yet."""
    import_module("penstock_serving.rpc.server")


@dataclass(frozen=True, slots=True)
class GrpcPort:
    """What the service is made of."""

    identity: Identity
    model: Model
    dispatcher: Dispatcher
    pages: Pages
    metrics: ServerMetrics
    tally: Tally
    lifecycle: Lifecycle

    async def listen(self, address: str, config: Settings) -> "grpc.aio.Server":
        """Start serving at `address` ("host:port"); raises `OSError` when it cannot be bound."""
        # Imported here: a server without the port need not hold gRPC.
        from penstock_serving.rpc import server
        from penstock_serving.rpc.servicer import About, Hooks

        identity = self.identity
        about = About(
            name=identity.name,
            version=identity.version,
            server_version=VERSION,
            platform=platform_of(self.model),
            headers=identity.headers,
            parameters=identity.parameters,
            signature=self.model.signature,
        )
        hooks = Hooks(
            submit=self._submit,
            why_not_live=self.pages.why_not_live,
            why_not_ready=self.pages.why_not_ready,
            statistics=self.pages.statistics,
            answered=lambda code, seconds: self.metrics.answered(ROUTE, code, seconds),
            failed=self.tally.refused,
        )
        return await server.serve(
            address, about, hooks, server.Limits(config.max_body, config.limits.in_flight, config.workers)
        )

    async def _submit(self, call: Call, patience_seconds: float) -> Computed:
        self.lifecycle.arrived()
        try:
            return await self.dispatcher.submit(call, patience_seconds)
        except Exception as error:
            raise self.tally.went_wrong(error) from error
        finally:
            self.lifecycle.left()
