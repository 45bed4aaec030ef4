"""The server under test, as the cases ask it: plain HTTP of the standard library, nothing retried, nothing forgiven."""

import copy
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 30.0

Json = Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body as JSON; fails the case when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"{self.status} with a body that is not JSON: {self.body[:80]!r}") from error


@dataclass(frozen=True)
class Target:
    """Where the server is (`grpc` is host:port, empty for none), its model, and a request that it answers."""

    url: str
    grpc: str
    model: str
    example: Json

    @property
    def base(self) -> str:
        """The model's path."""
        return f"/v2/models/{self.model}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, dict(headers or {}))
            answer = connection.getresponse()
            found = {key.lower(): value for key, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """GET."""
        return self.ask("GET", path)

    def post(self, path: str, document: Json) -> Answer:
        """POST of JSON; bytes are sent as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", path, body, {"content-type": "application/json"})

    def infer(self, document: Json) -> Answer:
        """An inference request."""
        return self.post(f"{self.base}/infer", document)

    def request(self) -> Json:
        """The example, to be changed at will."""
        return copy.deepcopy(self.example)

    @cached_property
    def good(self) -> Json:
        """The example's answer."""
        answer = self.infer(self.example)
        assert answer.status == 200, f"the example is not answered: {answer.status} {answer.body[:200]!r}"
        return answer.json()

    @cached_property
    def metadata(self) -> Json:
        """The model's metadata."""
        answer = self.get(self.base)
        assert answer.status == 200, f"the model's metadata is not answered: {answer.status} {answer.body[:200]!r}"
        return answer.json()

    @cached_property
    def extensions(self) -> frozenset[str]:
        """The extensions that the server names in its metadata."""
        answer = self.get("/v2")
        assert answer.status == 200, f"the server's metadata is not answered: {answer.status}"
        return frozenset(answer.json().get("extensions", []))

    @cached_property
    def output_names(self) -> list[str]:
        """The outputs that the metadata names, else those of the example's answer."""
        declared = [output["name"] for output in self.metadata.get("outputs") or []]
        return declared or [output["name"] for output in self.good["outputs"]]


def volume(shape: list[int]) -> int:
    """The number of values of a shape."""
    size = 1
    for extent in shape:
        size *= extent
    return size


def flat(data: Json) -> list[Any]:
    """Values without their nesting."""
    return [value for item in data for value in flat(item)] if isinstance(data, list) else [data]


def by_name(answer: Json) -> dict[str, tuple[list[int], list[Any]]]:
    """The shape and flat values of every output."""
    return {output["name"]: (output["shape"], flat(output["data"])) for output in answer["outputs"]}


def require_error(answer: Answer) -> None:
    """The protocol's error: a 4xx whose body is an object of one text, `error`."""
    assert 400 <= answer.status < 500, f"answered with {answer.status}: {answer.body[:120]!r}"
    document = answer.json()
    assert isinstance(document, dict), f"the body is not an object: {answer.body[:120]!r}"
    assert list(document) == ["error"], f"the body is not an object of 'error' alone, but of {list(document)}"
    assert isinstance(document["error"], str), "error is not a text"
