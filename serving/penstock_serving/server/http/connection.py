"""One connection that speaks HTTP/1.1 (RFC 9112): strict, within limits, answers in the order of the requests.

Parsing is httptools' (llhttp, without its leniencies). Reading stops while too many requests of a connection wait for
answers, or the caller does not read them; what was not read yet stays in the kernel and holds the caller back.
"""

import asyncio
import os
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from penstock_serving.protocol.errors import BadRequestError, RequestError, SaturatedError
from penstock_serving.server.http.exchange import Exchange
from penstock_serving.server.http.heads import CONTINUE

if TYPE_CHECKING:
    from penstock_serving.server.http.listener import Listener

# Parsed at once, so that one read cannot bring more than some hundred requests of a few bytes.
_PIECE = 4 << 10
_LARGE = 64 << 10


class _AfterTheLastError(Exception):
    """What arrived together with a request that closes the connection is not read (RFC 9112, 9.6)."""


class Connection(asyncio.Protocol):
    """A caller's connection: reads requests, hands them to the listener's handler, writes the answers.

    `_last` says that nothing more is read; `_lingering` that the last answer was written to a caller who may still be
    sending; `_raw` counts bytes since the parser last got anywhere, so that nothing without an end is collected.
    """

    __slots__ = (
        "_blocked", "_body", "_first", "_last", "_left", "_limits", "_lingering", "_listener", "_outstanding", "_parser",
        "_parsing", "_plain", "_raw", "_reading", "_since", "_spent", "_transport", "_unread",
    )  # fmt: skip

    def __init__(self, listener: "Listener", first: bytes = b"", spent: float = 0.0) -> None:
        """A connection from which these bytes were `first` read elsewhere, from so many seconds ago on."""
        self._listener, self._limits, self._first = listener, listener.limits, first
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._outstanding: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        self._body: bytes | bytearray = b""
        self._unread = b""
        self._left = self._raw = 0
        self._last = self._lingering = self._blocked = self._parsing = self._plain = False
        self._since = 0.0
        self._spent = spent

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or turn it away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._since = time.monotonic()
        if not self._listener.accept(self):
            self._refuse(SaturatedError("too many connections are open; try again shortly"))
            self._shut()
        elif self._first:
            first, self._first = self._first, b""
            self.data_received(first)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, or keep it while reading is stopped."""
        if self._lingering:
            self._raw += len(data)
            if self._raw > self._limits.linger_bytes:
                self.abort()
        elif self._last:
            return
        elif self._unread or self._full():
            self._keep(data)
        elif len(data) <= _PIECE:
            self._parse(data)
        else:
            self._pieces(data)

    def eof_received(self) -> bool:
        """A caller who shuts its side has hung up: what it asked for is not computed for nobody."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Nobody waits for the outstanding answers any more."""
        self._transport = None
        self._listener.forget(self)
        self._forget_reading()
        self._forget_outstanding()
        # Each holds the other, and both would wait for a collection of garbage.
        del self._parser

    def pause_writing(self) -> None:
        """The caller reads its answers more slowly than it asks: ask no more of it."""
        self._blocked = True
        self._since = time.monotonic()
        self._hold()

    def resume_writing(self) -> None:
        """The caller has read its answers."""
        self._blocked = False
        self._go_on()

    # What the parser says. A `RequestError` raised here ends the parsing and refuses the request.

    def on_url(self, url: bytes) -> None:
        """The target, or a further part of it."""
        exchange = self._reading
        if exchange is None:
            if self._last:
                raise _AfterTheLastError
            self._reading = Exchange(self, self._since, url, self._spent)
            self._spent = 0.0
        else:
            exchange.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is dropped."""
        exchange = self._reading
        if exchange is not None and not exchange.method:
            exchange.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Look at how the body comes before any of it is taken."""
        exchange = self._reading
        assert exchange is not None
        method = exchange.method = self._parser.get_method()
        self._left = self._raw = 0
        headers, limits = exchange.headers, self._limits
        if b"connection" in headers or b"host" not in headers or method == b"CONNECT":
            self._look_closer(exchange)
        if len(exchange.target) > limits.target:
            raise RequestError(414, f"the request's target is longer than {limits.target} bytes")
        if len(headers) > limits.headers:
            raise RequestError(431, f"the request has more than {limits.headers} headers")
        if b"content-length" in headers:
            self._left = int(headers[b"content-length"])
            self._expect_body(exchange, self._left)
        elif b"transfer-encoding" in headers:
            if headers[b"transfer-encoding"].lower() != b"chunked":
                raise RequestError(501, "bodies come with a length or chunked, in no other coding")
            if self._plain:
                raise RequestError(501, "a chunked body does not go with an offer of another protocol")
            self._expect_body(exchange, limits.body)

    def _look_closer(self, exchange: Exchange) -> None:
        """Look at what few requests have: a header on the connection, or no host."""
        self._plain = self._parser.should_upgrade()
        if self._plain or not self._parser.should_keep_alive():
            # Another protocol that is offered is passed over (RFC 9110, 7.8); what follows might be that protocol.
            exchange.close = True
        if self._parser.get_http_version() == "1.0":
            exchange.close = True
        elif b"host" not in exchange.headers:
            raise BadRequestError("the request has no header host")

    def _expect_body(self, exchange: Exchange, size: int) -> None:
        if size > self._limits.body:
            raise _too_large(self._limits.body)
        if not self._listener.budget.reserve(size):
            raise SaturatedError("too many request bodies are arriving at once; try again shortly")
        exchange.held = size
        expectation = exchange.headers.get(b"expect")
        if expectation is None:
            return
        if expectation.lower() != b"100-continue":
            raise RequestError(417, "the header expect takes only 100-continue")
        if not self._outstanding and self._transport is not None:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._raw = 0
        self._left -= len(body)
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += body
        if len(self._body) > self._limits.body:
            raise _too_large(self._limits.body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange = self._reading
        assert exchange is not None
        if self._plain and self._left > 0:
            return
        body = self._body
        if body:
            exchange.body = body if type(body) is bytes else bytes(body)
            self._body = b""
        self._reading = None
        self._raw = 0
        self._last = exchange.close
        self._outstanding.append(exchange)
        self._listener.handler.handle(exchange)

    # Reading

    def _keep(self, data: bytes) -> None:
        """Hold on to what arrived after reading stopped, if there is room for it."""
        if self._listener.budget.reserve(len(data)):
            self._unread += data
        else:
            self.abort()

    def _pieces(self, data: bytes) -> None:
        view = memoryview(data)
        start = 0
        while start < len(data) and not self._last:
            if self._full():
                self._keep(data[start:])
                self._hold()
                return
            end = start + max(_PIECE, self._left)
            self._parse(view[start:end])
            start = end

    def _parse(self, piece: bytes | memoryview) -> None:
        if self._reading is None and not self._raw:
            self._since = time.monotonic() - self._spent
        self._raw += len(piece)
        self._parsing = True
        try:
            if self._plain:
                self._plain_body(piece)
            else:
                self._parser.feed_data(piece)
        except RequestError as error:
            self._refuse(error)
        except httptools.HttpParserUpgrade as found:
            # The parser leaves a body that comes with an offer of another protocol to us.
            if self._reading is not None:
                self._plain_body(piece[found.args[0] :])
        except httptools.HttpParserCallbackError as error:
            match error.__context__:
                case RequestError() as refused:
                    self._refuse(refused)
                case _AfterTheLastError():
                    pass
                case _:
                    self.abort()
                    raise
        except httptools.HttpParserError:
            if not self._last:
                self._refuse(BadRequestError("the request is not HTTP/1.1"))
        finally:
            self._parsing = False
        if self._raw > self._limits.head and not self._last:
            self._refuse(RequestError(431, f"headers are larger than {self._limits.head} bytes"))
        if self._full():
            self._hold()

    def _plain_body(self, piece: bytes | memoryview) -> None:
        """A part of a body of known length that the parser does not read."""
        body = bytes(piece[: self._left])
        if body:
            self.on_body(body)
        if self._left <= 0 and self._reading is not None:
            self.on_message_complete()

    def _refuse(self, error: RequestError) -> None:
        """Answer what cannot be read, in its turn, and read no further."""
        exchange = self._reading or Exchange(self, self._since, b"")
        exchange.close = True
        exchange.whole = False
        self._reading = None
        self._body = b""
        self._last = True
        self._outstanding.append(exchange)
        self._listener.handler.refuse(exchange, error)

    def _full(self) -> bool:
        return self._blocked or len(self._outstanding) >= self._limits.outstanding

    def _hold(self) -> None:
        if self._transport is not None and not self._lingering:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Read again, if there is room: first what arrived before reading stopped."""
        few = len(self._outstanding) <= self._limits.outstanding // 2
        if self._transport is None or self._blocked or self._last or not few:
            return
        self._since = time.monotonic()
        if self._unread:
            unread, self._unread = self._unread, b""
            self._listener.budget.release(len(unread))
            self._pieces(unread)
        if not self._unread and not self._full() and self._transport is not None:
            self._transport.resume_reading()

    # Writing

    def flush(self) -> None:
        """Write the answers that are next in turn."""
        outstanding, listener, transport = self._outstanding, self._listener, self._transport
        if transport is None:
            return
        many = len(outstanding) > 1
        while outstanding and (output := outstanding[0].output) is not None:
            exchange = outstanding.popleft()
            listener.budget.release(exchange.held)
            last = exchange.close or (listener.draining and not outstanding and self._reading is None)
            head, body = output
            start = b"%b%b%d\r\n\r\n" % (head, listener.closing_tail if last else listener.tail, len(body))
            if exchange.method == b"HEAD":
                transport.write(start)
            elif len(body) < _LARGE:
                transport.write(start + body)
            else:
                transport.writelines((start, body))
            if last:
                self._finish(exchange)
                return
        if not outstanding and self._reading is None:
            self._since = time.monotonic()
            if self._last:
                self._shut()
        if many and not self._parsing:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _finish(self, exchange: Exchange) -> None:
        """Close after an answer that says so."""
        self._last = True
        self._forget_outstanding()
        if exchange.whole:
            self._shut()
        elif self._transport is not None:
            # Closing at once while the caller still sends would reset the connection and lose the answer.
            self._lingering = True
            self._raw = 0
            self._since = time.monotonic()
            self._transport.write_eof()
            self._transport.resume_reading()

    def _forget_reading(self) -> None:
        if self._reading is not None:
            self._listener.budget.release(self._reading.held)
            self._reading = None
            self._body = b""

    def _forget_outstanding(self) -> None:
        for exchange in self._outstanding:
            exchange.wanted = False
            self._listener.budget.release(exchange.held)
        self._outstanding.clear()
        self._listener.budget.release(len(self._unread))
        self._unread = b""

    def _shut(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # What the listener asks

    def abort(self) -> None:
        """Close at once, whatever is outstanding."""
        if self._transport is not None:
            self._transport.abort()

    def look(self, now: float) -> None:
        """End what has taken too long, as of `now` (monotonic seconds)."""
        limits, spent = self._limits, now - self._since
        if self._lingering:
            if spent > limits.linger_seconds:
                self.abort()
        elif self._blocked:
            if spent > limits.write_seconds:
                self.abort()
        elif self._reading is not None or self._raw:
            head = self._reading is None or not self._reading.method
            if spent > (limits.head_seconds if head else limits.body_seconds) and not self._full():
                self._refuse(RequestError(408, "the request did not arrive in time"))
        elif not self._outstanding and spent > limits.idle_seconds:
            self._shut()

    def leave(self) -> int | None:
        """Give the connection up where it waits for nothing: a descriptor of it for somebody else, else None."""
        transport = self._transport
        waits = self._outstanding or self._reading or self._raw or self._unread or self._last or self._blocked
        if transport is None or waits or transport.is_closing() or transport.get_write_buffer_size():
            return None
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        transport.pause_reading()
        self._last = True
        transport.abort()
        return descriptor

    def part(self) -> None:
        """Close now if nothing is being read or answered; else the last answer closes, as the listener is draining."""
        if not self._outstanding and self._reading is None:
            self._last = True
            self._shut()


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"the request's body is larger than {limit} bytes")
