"""Clusters: one per revision and lane, and for a shielded candidate an aggregate whose second choice is stable."""

from collections.abc import Iterable, Mapping

from penstock.router.envoy.resources import Resource, extension, seconds, socket_address, typed
from penstock.router.routing import Arm, Endpoint, Lane, ModelRoute, Protocol

PLENTY = 1_000_000
"""No limit in practice: servers admit what they can answer; Envoy's own defaults (3 concurrent retries) break the
shield just when it is needed."""
CONNECT_TIMEOUT = 1_000
IDLE_TIMEOUT = 3_000
"""Shorter than any common server's keep-alive, so that a request rarely meets a connection that is being closed."""

STREAMS_OF_A_CONNECTION = 8
"""Most requests at once on one HTTP/2 connection. Workers of a pod share its port by connections: a single one would
give one worker all requests."""

SHIELD_MARK = "shield"
"""Endpoint metadata (namespace `penstock`) of stable's addresses where they shield: tells who really answered."""
METADATA = "penstock"

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster_name(route: ModelRoute, arm: Arm, lane: Lane) -> str:
    """The cluster of a revision's own pods."""
    return _name(route, arm, lane)


def shield_name(route: ModelRoute, lane: Lane) -> str:
    """Stable's pods once more, with connections of their own for repetitions."""
    return _name(route, route.stable, lane, "shield")


def shielded_name(route: ModelRoute, candidate: Arm, lane: Lane) -> str:
    """The candidate with stable behind it."""
    return _name(route, candidate, lane, "shielded")


def is_shielded(route: ModelRoute, lane: Lane) -> bool:
    """Whether stable can answer for the candidate: there is one, and stable has somebody to answer."""
    return route.candidate is not None and bool(route.stable.endpoints_of(lane))


def clusters(route: ModelRoute) -> tuple[Resource, ...]:
    """All clusters of a model. Which they are depends on its revisions alone, never on who is alive: a route must not
    lose its cluster because a pod died."""
    return tuple(cluster for lane in Lane for cluster in _of_lane(route, lane))


def _of_lane(route: ModelRoute, lane: Lane) -> Iterable[Resource]:
    protocol = Protocol.HTTP2 if lane is Lane.GRPC else route.protocol
    for arm in route.arms:
        yield _static(cluster_name(route, arm, lane), arm.endpoints_of(lane), protocol, None)
    if route.candidate is not None:
        marked: Resource = {METADATA: {SHIELD_MARK: "1"}}
        yield _static(shield_name(route, lane), route.stable.endpoints_of(lane), protocol, marked)
        yield _aggregate(route, route.candidate, lane, protocol)


def _name(route: ModelRoute, arm: Arm, lane: Lane, *more: str) -> str:
    return "~".join((route.name, arm.revision, *(() if lane is Lane.HTTP else (lane.value,)), *more))


def _static(name: str, endpoints: Iterable[Endpoint], protocol: Protocol, metadata: Resource | None) -> Resource:
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy="LEAST_REQUEST",
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": list(_addressed(endpoints, metadata))}]},
        typed_extension_protocol_options={_HTTP_OPTIONS: _http_options(protocol)},
        **_limits(),
    )


def _aggregate(route: ModelRoute, candidate: Arm, lane: Lane, protocol: Protocol) -> Resource:
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=shielded_name(route, candidate, lane),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy="CLUSTER_PROVIDED",
        cluster_type=extension(
            "envoy.clusters.aggregate",
            "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
            clusters=[cluster_name(route, candidate, lane), shield_name(route, lane)],
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: _http_options(protocol)},
        **_limits(),
    )


def _addressed(endpoints: Iterable[Endpoint], metadata: Resource | None) -> Iterable[Resource]:
    for endpoint in endpoints:
        entry: Resource = {"endpoint": {"address": socket_address(endpoint.address, endpoint.port)}}
        yield entry if metadata is None else entry | {"metadata": {"filter_metadata": metadata}}


def _http_options(protocol: Protocol) -> Resource:
    return typed(
        _HTTP_OPTIONS,
        explicit_http_config=_SPOKEN[protocol],
        common_http_protocol_options={"idle_timeout": seconds(IDLE_TIMEOUT)},
    )


def _limits() -> Resource:
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"circuit_breakers": {"thresholds": [dict.fromkeys(limits, PLENTY)]}}


_SPOKEN: Mapping[Protocol, Resource] = {
    Protocol.HTTP1: {"http_protocol_options": {}},
    Protocol.HTTP2: {"http2_protocol_options": {"max_concurrent_streams": STREAMS_OF_A_CONNECTION}},
}
