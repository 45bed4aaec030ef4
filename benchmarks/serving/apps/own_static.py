"""Our HTTP layer with one static answer: PORT."""

import asyncio
import sys

import uvloop
from penstock_serving.protocol.errors import RequestError
from penstock_serving.server.http.exchange import Exchange
from penstock_serving.server.http.heads import Heads
from penstock_serving.server.http.limits import HttpLimits
from penstock_serving.server.http.listener import Listener, make_room

_HEADS = Heads((("content-type", "application/json"),))
_BODY = b'{"model_name":"m","outputs":[{"name":"predict","datatype":"INT64","shape":[1],"data":[1]}]}'


class Static:
    """Answers everything alike."""

    def handle(self, exchange: Exchange) -> None:
        """The one answer."""
        exchange.answer(_HEADS.of(200), _BODY)

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """The error."""
        exchange.answer(_HEADS.of(error.status), b"{}")


async def serve(port: int) -> None:
    """Serve until killed."""
    limits = HttpLimits()
    make_room(limits)
    await Listener(Static(), limits).listen("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
