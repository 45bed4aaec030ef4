"""Clusters: one per revision, and for a shielded candidate an aggregate whose second choice is stable."""

from collections.abc import Iterable

from penstock.router.envoy.resources import Resource, extension, seconds, socket_address, typed
from penstock.router.routing import Arm, ModelRoute, Protocol

PLENTY = 1_000_000
"""No limit in practice: servers admit what they can answer; Envoy's own defaults (3 concurrent retries) break the
shield just when it is needed."""
CONNECT_TIMEOUT = 1_000
IDLE_TIMEOUT = 3_000
"""Shorter than any common server's keep-alive, so that a request rarely meets a connection that is being closed."""

SHIELD_MARK = "shield"
"""Endpoint metadata (namespace `penstock`) of stable's addresses where they shield: tells who really answered."""
METADATA = "penstock"

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster_name(route: ModelRoute, arm: Arm) -> str:
    """The cluster of a revision's own pods."""
    return f"{route.name}~{arm.revision}"


def shield_name(route: ModelRoute) -> str:
    """Stable's pods once more, with connections of their own for repetitions."""
    return f"{route.name}~{route.stable.revision}~shield"


def shielded_name(route: ModelRoute, candidate: Arm) -> str:
    """The candidate with stable behind it."""
    return f"{route.name}~{candidate.revision}~shielded"


def is_shielded(route: ModelRoute) -> bool:
    """Whether stable can answer for the candidate: there is one, and stable has somebody to answer."""
    return route.candidate is not None and bool(route.stable.endpoints)


def clusters(route: ModelRoute) -> tuple[Resource, ...]:
    """All clusters of a model. Which they are depends on its revisions alone, never on who is alive: a route must not
    lose its cluster because a pod died."""
    own = tuple(_static(cluster_name(route, arm), arm, route.protocol, None) for arm in route.arms)
    candidate = route.candidate
    if candidate is None:
        return own
    shield = _static(shield_name(route), route.stable, route.protocol, {METADATA: {SHIELD_MARK: "1"}})
    return (*own, shield, _aggregate(route, candidate))


def _static(name: str, arm: Arm, protocol: Protocol, metadata: Resource | None) -> Resource:
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        type="STATIC",
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy="LEAST_REQUEST",
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": list(_endpoints(arm, metadata))}]},
        typed_extension_protocol_options={_HTTP_OPTIONS: _http_options(protocol)},
        **_limits(),
    )


def _aggregate(route: ModelRoute, candidate: Arm) -> Resource:
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=shielded_name(route, candidate),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy="CLUSTER_PROVIDED",
        cluster_type=extension(
            "envoy.clusters.aggregate",
            "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
            clusters=[cluster_name(route, candidate), shield_name(route)],
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: _http_options(route.protocol)},
        **_limits(),
    )


def _endpoints(arm: Arm, metadata: Resource | None) -> Iterable[Resource]:
    for endpoint in arm.endpoints:
        entry: Resource = {"endpoint": {"address": socket_address(endpoint.address, endpoint.port)}}
        yield entry if metadata is None else entry | {"metadata": {"filter_metadata": metadata}}


def _http_options(protocol: Protocol) -> Resource:
    kind = "http_protocol_options" if protocol is Protocol.HTTP1 else "http2_protocol_options"
    return typed(
        _HTTP_OPTIONS,
        explicit_http_config={kind: {}},
        common_http_protocol_options={"idle_timeout": seconds(IDLE_TIMEOUT)},
    )


def _limits() -> Resource:
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"circuit_breakers": {"thresholds": [dict.fromkeys(limits, PLENTY)]}}
