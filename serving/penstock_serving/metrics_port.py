"""The port that counters are read from, apart from the port of predictions: Prometheus text, behind a token if set."""

import hmac
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TIMEOUT_SECONDS = 10


def read_token(path: str) -> bytes:
    """The bearer token in a file, empty when no file is named; raises `BadModelError` (Misconfigured)."""
    if not path:
        return b""
    try:
        token = Path(path).read_bytes().strip()
    except OSError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"{contract.ENV_METRICS_TOKEN_FILE}={path!r}: {error.strerror}"
        ) from error
    if not token:
        raise BadModelError(contract.REASON_MISCONFIGURED, f"{contract.ENV_METRICS_TOKEN_FILE}={path!r} is empty")
    return token


def serve_metrics(
    address: str, port: int, render: Callable[[], bytes], token: bytes, processes: int = 1
) -> ThreadingHTTPServer:
    """Answer `GET /metrics` with `render()` from a thread of its own; requests without the token get 401.

    So many processes share the port. Raises `OSError` when it cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[int] = _TIMEOUT_SECONDS
        server_version = "penstock"
        sys_version = ""

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "").encode()
            if token and not hmac.compare_digest(given, b"Bearer " + token):
                self._answer(401, b"a bearer token is needed\n")
            elif self.path.partition("?")[0] != contract.PATH_METRICS:
                self._answer(404, b"metrics are at /metrics\n")
            else:
                self._answer(200, render())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Scrapes are not logged."""

    server = _Server((address, port), Handler, bind_and_activate=False)
    server.allow_reuse_port = processes > 1
    try:
        server.server_bind()
        server.server_activate()
    except OSError:
        server.server_close()
        raise
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that hangs up is no news."""
