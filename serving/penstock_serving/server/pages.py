"""What the server says of itself, its model and its health: small documents, answered on the event loop."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from penstock_serving import contract
from penstock_serving.model.load import Model
from penstock_serving.protocol import documents
from penstock_serving.protocol.errors import NotServingError, RequestError
from penstock_serving.protocol.openapi import openapi
from penstock_serving.server.dispatch import Dispatcher
from penstock_serving.server.identity import Identity
from penstock_serving.server.lifecycle import Lifecycle
from penstock_serving.server.work import Work

VERSION = version("penstock")
_STUCK = "the model has not finished a prediction for too long"
PATH_OPENAPI = "/v2/openapi.json"
_PLATFORMS = {"onnx": "onnxruntime_onnx"}

Page = Callable[[], Any]


class Pages:
    """The documents of one model's server, by path; each raises `NotServingError` where that is the answer."""

    def __init__(
        self,
        identity: Identity,
        model: Model,
        dispatcher: Dispatcher,
        lifecycle: Lifecycle,
        work: Callable[[], Work],
    ) -> None:
        self._work = work
        self._identity, self._model = identity, model
        self._dispatcher, self._lifecycle = dispatcher, lifecycle
        self._schema = openapi(identity.name, model.signature, VERSION, identity.version)
        ready: Page = lambda: self._ready({"name": identity.name, "ready": True})  # noqa: E731
        self._by_path: dict[str, Page] = {
            contract.PATH_LIVE: self._live,
            contract.PATH_READY: lambda: self._ready({"ready": True}),
            "/v2": lambda: documents.server_metadata(VERSION),
            "/v2/models/stats": self._statistics,
            PATH_OPENAPI: lambda: self._schema,
            f"/v1/models/{identity.name}": ready,
        }
        self.waiting = frozenset(("/v2/models/stats", *(f"{base}/stats" for base in bases(identity))))
        """Pages that may take a while, as they ask other workers: not to be made on the event loop."""
        for base in bases(identity):
            self._by_path |= {base: self._metadata, f"{base}/ready": ready, f"{base}/stats": self._statistics}

    def find(self, path: str) -> Page | None:
        """The page at a path, if there is one."""
        return self._by_path.get(path)

    def index(self, body: bytes) -> Any:
        """The repository's index; raises `BadRequestError` for a body that is no question for it."""
        entry = documents.Entry(self._identity.name, self._identity.version, self.why_not_ready())
        return documents.repository_index(entry, documents.only_ready(body))

    def missing(self, path: str) -> RequestError:
        """Why there is nothing at a path (404)."""
        parts = path.split("/")
        if len(parts) > 3 and parts[2] == "models":
            name = parts[3].partition(":")[0]
            if name != self._identity.name:
                return RequestError(404, f"there is no model {name[:128]!r} here, only {self._identity.name!r}")
            if len(parts) > 5 and parts[4] == "versions":
                try:
                    documents.require_version(parts[5], self._identity.version, name)
                except RequestError as error:
                    return error
        return RequestError(404, f"there is no {path[:200]} here")

    def why_not_live(self) -> str:
        """Why the server should be restarted; empty when it should not."""
        return _STUCK if self._dispatcher.stuck(time.monotonic()) else ""

    def why_not_ready(self) -> str:
        """Why no requests should be sent; empty when they should."""
        return "this server is stopping" if self._lifecycle.draining else self.why_not_live()

    def _live(self) -> Any:
        if why_not := self.why_not_live():
            raise NotServingError(why_not)
        return {"live": True}

    def _ready(self, document: Any) -> Any:
        if why_not := self.why_not_ready():
            raise NotServingError(why_not)
        return document

    def _metadata(self) -> Any:
        model, versions = self._model, self._model.signature.versions
        properties = {
            **self._identity.parameters,
            "scikit_learn": versions.scikit_learn,
            "python": versions.python,
            **model.properties,
        }
        name, version_ = self._identity.name, self._identity.version
        return documents.model_metadata(name, model.signature, properties, version_, platform_of(model))

    def statistics(self) -> documents.Statistics:
        """What all workers have done. May wait for the others' answer, so not for the event loop."""
        return self._work().statistics()

    def _statistics(self) -> Any:
        return documents.statistics(self._identity.name, self._identity.version, self.statistics())


def platform_of(model: Model) -> str:
    """What computes the model, in the protocol's words."""
    return _PLATFORMS.get(model.backend, "sklearn_joblib")


def bases(identity: Identity) -> tuple[str, ...]:
    """The paths of the model: without its version, and with it where it has one."""
    base = f"/v2/models/{identity.name}"
    return (base, f"{base}/versions/{identity.version}") if identity.version else (base,)
