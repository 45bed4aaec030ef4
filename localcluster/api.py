"""The few requests to an API server that bringing a cluster up takes."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.errors import NotReadyError, StepError

POLL_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Api:
    """A client with a certificate; `host` and `port` are where the API server listens."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """(HTTP status, body). Raises OSError when the server cannot be reached."""
        return self._request("GET", path, None)

    def read(self, path: str) -> dict[str, Any] | None:
        """The object at a path; None while it does not exist or the server is not there."""
        try:
            status, body = self.get(path)
        except (OSError, http.client.HTTPException):
            return None
        content = json.loads(body) if status == 200 else None
        return content if isinstance(content, dict) else None

    def apply(self, path: str, content: dict[str, Any]) -> None:
        """Server-side apply of one object. Raises StepError when the server refuses it."""
        status, body = self._request(
            "PATCH", f"{path}?fieldManager=localcluster&force=true", json.dumps(content).encode()
        )
        if status not in (200, 201):
            raise StepError(f"the API server refused {path} with {status}: {body.decode(errors='replace')}")

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            status, _ = self.get("/readyz")
        except (OSError, http.client.HTTPException):
            return False
        return status == 200

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=5, context=context)
        try:
            connection.request(method, path, body, {"Content-Type": "application/apply-patch+yaml"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def wait_until(
    condition: Callable[[], bool], *, within: float, idle: Callable[[], None], failure: Callable[[], str]
) -> None:
    """Polls until the condition holds. Raises NotReadyError with `failure()` when it does not in `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise NotReadyError(failure())
        idle()
        time.sleep(POLL_EVERY)
