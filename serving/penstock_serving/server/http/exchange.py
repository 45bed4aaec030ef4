"""One request and the place of its answer."""

from typing import TYPE_CHECKING, Protocol

from penstock_serving.protocol.errors import RequestError

if TYPE_CHECKING:
    from penstock_serving.server.http.connection import Connection


class Exchange:
    """A request: method, target (as sent), headers by lower-case name, body, and when its head began to arrive
    (`time.monotonic`); `spent` are seconds for which it waited for an answer elsewhere. Answered once, from the event
    loop; `wanted` turns false when the caller has hung up. `whole` says that it was read to its end, `close` that its
    answer is the connection's last.
    """

    __slots__ = (
        "_connection",
        "began",
        "body",
        "close",
        "headers",
        "held",
        "method",
        "output",
        "spent",
        "target",
        "wanted",
        "whole",
    )

    def __init__(self, connection: "Connection", began: float, target: bytes, spent: float = 0.0) -> None:
        self._connection = connection
        self.began = began
        self.spent = spent
        self.method = b""
        self.target = target
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.close = False
        self.wanted = True
        self.whole = True
        self.held = 0
        self.output: tuple[bytes, bytes] | None = None

    @property
    def path(self) -> str:
        """The target's path, not decoded further: without scheme, authority and query."""
        target = self.target
        if not target.startswith(b"/"):
            _, _, rest = target.partition(b"://")
            target = b"/" + rest.partition(b"/")[2] if rest else target
        return target.partition(b"?")[0].decode("latin-1")

    def header(self, name: bytes) -> str:
        """A header's value, empty when absent."""
        return self.headers.get(name, b"").decode("latin-1")

    def answer(self, head: bytes, body: bytes) -> None:
        """Answer with a head of `Heads` and a body; an answer nobody waits for is dropped."""
        self.output = head, body
        self._connection.flush()


class Handler(Protocol):
    """What a server does with requests. Called on the event loop; every exchange must be answered, now or later."""

    def handle(self, exchange: Exchange) -> None:
        """Take a request that was read whole."""

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Answer a request that was not read whole, whose connection then closes."""
