"""The routing table as JSON: strict, and model by model, so that one bad part costs one model its news and no more."""

import ipaddress
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from penstock.router.errors import BadInputError
from penstock.router.reading import Value
from penstock.router.routing import (
    FULL_WEIGHT,
    Arm,
    Dialect,
    Endpoint,
    ModelRoute,
    Protocol,
    Role,
    RoutingTable,
    Threshold,
)

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = (_LABEL, "a lower-case name of letters, digits and hyphens, at most 63 characters")
_OPAQUE = (r"[-A-Za-z0-9._/@:]{1,128}", "1 to 128 letters, digits or -._/@:")
_MAX_BODY = 64 * 2**20
_MAX_ENDPOINTS = 1_000
_MAX_THRESHOLDS = 8
Choice = TypeVar("Choice", bound=StrEnum)


class TableReader:
    """Reads tables one after the other; a part that did not change is not read again."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[object, ModelRoute | BadInputError]] = {}

    def read(self, text: str) -> RoutingTable:
        """Read `{"models": […]}`. Raises BadInputError when the whole cannot be read; a bad part is named in
        `refused`."""
        try:
            root = Value(json.loads(text), "")
        except ValueError as error:
            raise BadInputError("routing table", f"is no JSON: {error}") from None
        root.only("models")
        parts: dict[str, tuple[object, ModelRoute | BadInputError]] = {}
        twice: set[str] = set()
        unnamed: list[str] = []
        for part in root.field("models").items():
            name = part.raw.get("name") if isinstance(part.raw, Mapping) else None
            if not isinstance(name, str) or re.fullmatch(_LABEL, name) is None:
                unnamed.append(f"{part.where}.name: must be {_NAME[1]}")
            elif name in parts:
                twice.add(name)
            else:
                parts[name] = (part.raw, self._read(name, Value(part.raw, f"model {name}")))
        self._parts = parts
        results = {name: result for name, (_, result) in parts.items() if name not in twice}
        refused = {name: f"model {name}: is there twice; keep one" for name in twice}
        return RoutingTable(
            models={name: result for name, result in results.items() if isinstance(result, ModelRoute)},
            refused=refused | {name: str(it) for name, it in results.items() if isinstance(it, BadInputError)},
            unnamed=tuple(unnamed),
        )

    def _read(self, name: str, value: Value) -> ModelRoute | BadInputError:
        raw, before = self._parts.get(name, (None, None))
        if before is not None and raw == value.raw:
            return before
        try:
            return read_model(value)
        except BadInputError as error:
            return error


def read_model(value: Value) -> ModelRoute:
    """Read one model; raises BadInputError naming the field."""
    value.only("name", "uid", "release", "port", "epoch", "traffic", "dialect", "protocol", "slow", "arms")
    traffic = value.field("traffic")
    if traffic.present:
        traffic.only("timeout", "tryTimeout", "maxBody", "idempotent")
    else:
        traffic = Value({}, traffic.where)
    timeout = traffic.field("timeout").or_else(10_000, Value.milliseconds)
    try_timeout = traffic.field("tryTimeout").or_else(min(1_000, timeout), Value.milliseconds)
    if try_timeout > timeout:
        raise traffic.field("tryTimeout").refuse("must not exceed timeout: lower it or raise timeout")
    max_body = traffic.field("maxBody").or_else(2**20, Value.bytes)
    if max_body > _MAX_BODY:
        raise traffic.field("maxBody").refuse("must be at most 64Mi: the router keeps each body until it is answered")
    idempotent = traffic.field("idempotent")
    protocol = value.field("protocol").or_else(Protocol.HTTP1, lambda it: _choice(it, Protocol))
    stable, candidate = _arms(value.field("arms"), protocol)
    return ModelRoute(
        name=value.field("name").text(*_NAME),
        uid=value.field("uid").or_else("", lambda uid: uid.text(*_OPAQUE)),
        release=value.field("release").or_else("", lambda release: release.text(*_OPAQUE)),
        port=value.field("port").integer(1, 65_535),
        epoch=value.field("epoch").integer(0, 2**53 - 1),
        timeout=timeout,
        try_timeout=try_timeout,
        max_body=max_body,
        idempotent=not idempotent.present or idempotent.boolean(),
        dialect=value.field("dialect").or_else(Dialect.MARKED, lambda it: _choice(it, Dialect)),
        protocol=protocol,
        thresholds=value.field("slow").or_else((), _thresholds),
        stable=stable,
        candidate=candidate,
    )


def write_model(route: ModelRoute) -> dict[str, object]:
    """The JSON object that `read_model` reads back as an equal route."""
    written: dict[str, object] = {
        "name": route.name,
        "port": route.port,
        "epoch": route.epoch,
        "traffic": {
            "timeout": f"{route.timeout}ms",
            "tryTimeout": f"{route.try_timeout}ms",
            "maxBody": f"{route.max_body // 2**10}Ki",
            "idempotent": route.idempotent,
        },
        "dialect": route.dialect.value,
        "protocol": route.protocol.value,
        "slow": [{"name": it.name, "threshold": f"{it.milliseconds}ms"} for it in route.thresholds],
        "arms": [
            {
                "revision": arm.revision,
                "role": arm.role.value,
                "weight": arm.weight,
                "endpoints": [write_endpoint(endpoint) for endpoint in arm.endpoints],
                "grpcEndpoints": [write_endpoint(endpoint) for endpoint in arm.grpc_endpoints],
            }
            for arm in route.arms
        ],
    }
    return written | {key: text for key, text in (("uid", route.uid), ("release", route.release)) if text}


def read_endpoint(value: Value) -> Endpoint:
    """Read `10.0.0.1:8080` or `[fd00::1]:8080`."""
    form = "an IP address and a port, like 10.0.0.1:8080 or [fd00::1]:8080"
    host, _, port = value.text(r"[0-9a-fA-F.:\[\]]{4,60}", form).rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
        number = int(port)
    except ValueError:
        raise value.refuse(f"must be {form}") from None
    if (address.version == 6) != host.startswith("[") or not 1 <= number <= 65_535:
        raise value.refuse(f"must be {form}")
    return Endpoint(str(address), number)


def write_endpoint(endpoint: Endpoint) -> str:
    """The text that `read_endpoint` reads."""
    return f"[{endpoint.address}]:{endpoint.port}" if ":" in endpoint.address else f"{endpoint.address}:{endpoint.port}"


def _arms(value: Value, protocol: Protocol) -> tuple[Arm, Arm | None]:
    arms = [_arm(item, protocol) for item in value.items()]
    by_role: dict[Role, Arm] = {arm.role: arm for arm in arms}
    if Role.STABLE not in by_role or len(by_role) != len(arms):
        raise value.refuse("must hold one stable arm and at most one candidate")
    if sum(arm.weight for arm in arms) != FULL_WEIGHT:
        raise value.refuse(f"must have weights that add up to {FULL_WEIGHT} hundredths of a percent")
    if len({arm.revision for arm in arms}) != len(arms):
        raise value.refuse("must name two different revisions")
    return by_role[Role.STABLE], by_role.get(Role.CANDIDATE)


def _arm(value: Value, protocol: Protocol) -> Arm:
    """One arm. Servers that speak HTTP/2 in clear text are asked by gRPC at the same port, unless there is another."""
    value.only("revision", "role", "weight", "endpoints", "grpcEndpoints")
    endpoints = _endpoints(value.field("endpoints"))
    return Arm(
        revision=value.field("revision").text(*_NAME),
        role=_choice(value.field("role"), Role),
        weight=value.field("weight").integer(0, FULL_WEIGHT),
        endpoints=endpoints,
        grpc_endpoints=value.field("grpcEndpoints").or_else(
            endpoints if protocol is Protocol.HTTP2 else (), _endpoints
        ),
    )


def _endpoints(value: Value) -> tuple[Endpoint, ...]:
    endpoints = {read_endpoint(item) for item in value.items()}
    if len(endpoints) > _MAX_ENDPOINTS:
        raise value.refuse(f"must hold at most {_MAX_ENDPOINTS}")
    return tuple(sorted(endpoints))


def _thresholds(value: Value) -> tuple[Threshold, ...]:
    thresholds = []
    for item in value.items():
        item.only("name", "threshold")
        thresholds.append(Threshold(item.field("name").text(*_NAME), item.field("threshold").milliseconds()))
    if len(thresholds) > _MAX_THRESHOLDS or len({it.name for it in thresholds}) != len(thresholds):
        raise value.refuse(f"must hold at most {_MAX_THRESHOLDS}, each of another name")
    return tuple(thresholds)


def _choice(value: Value, kind: type[Choice]) -> Choice:
    choices = [member.value for member in kind]
    return kind(value.text("|".join(choices), " or ".join(choices)))
