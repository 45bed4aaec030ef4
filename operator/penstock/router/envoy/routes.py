"""Routes: the split, per request at random; the candidate's way with the shield, stable's way as callers know it.

gRPC has the same routes once more, to where the pods answer it. They have the same names, so that both count as one.
"""

from collections.abc import Iterable, Mapping

from penstock.router.contract import HEADER_ASSIGNED, HEADER_MODEL, HEADER_REFUSED, HEADER_SATURATED
from penstock.router.envoy.clusters import cluster_name, is_shielded, shield_name, shielded_name
from penstock.router.envoy.resources import Resource, extension, header, json_text, seconds, typed
from penstock.router.grpc_status import fine
from penstock.router.routing import Arm, Dialect, Lane, ModelRoute, Role

ROUTES = "models"
"""The one route configuration that all listeners share: a third watched file would cost an inotify instance each."""

UNCOUNTED = "-"
"""Name of routes whose requests are no evidence."""

NEVER_REACHED = "connect-failure,refused-stream,reset-before-request"
"""Failures after which a repetition is always safe: no model saw the request."""

_PROBES: Mapping[Lane, tuple[str, ...]] = {
    Lane.HTTP: ("/v2/health/",),
    Lane.GRPC: (
        "/grpc.",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    ),
}
"""Prefixes of what is asked of a server and not of its model: whether it is live and ready, and what can be called."""


def route_name(role: Role, slot: int) -> str:
    """How a count says which arm and epoch a request was assigned to: `c3`, `s3`."""
    return f"{role.value[0]}{slot}"


def hedged_name(slot: int) -> str:
    """The candidate's route when a late try goes on beside its repetition: `c3h`. Envoy tells the number of the newest
    try, so there a first try is known by who answers: the candidate's own pods get no other."""
    return f"{route_name(Role.CANDIDATE, slot)}h"


def around_hosts() -> tuple[str, str]:
    """The JSON of the route configuration before and after its virtual hosts. A request's virtual host is the model
    that its listener names, never its Host."""
    head = typed("envoy.config.route.v3.RouteConfiguration", name=ROUTES, vhost_header=HEADER_MODEL)
    return f'{json_text(head)[:-1]},"virtual_hosts":[', "]}"


def virtual_host(route: ModelRoute, slot: int) -> Resource:
    """Everything that can happen to a request for one model."""
    return {
        "name": route.name,
        "domains": [route.name],
        "include_request_attempt_count": True,
        "request_body_buffer_limit": route.max_body,
        "retry_policy": {"retry_on": NEVER_REACHED, "num_retries": 1, "retry_back_off": _BACK_OFF},
        "routes": [part for lane in _IN_ORDER for part in _of_lane(route, slot, lane)],
    }


def _of_lane(route: ModelRoute, slot: int, lane: Lane) -> Iterable[Resource]:
    yield from _probes(route, lane)
    yield from _candidate(route, slot, lane)
    yield _stable(route, slot, lane)


def _probes(route: ModelRoute, lane: Lane) -> Iterable[Resource]:
    """A load balancer's probes, and tools that ask what can be called, are no predictions: stable answers them,
    uncounted."""
    for prefix in _PROBES[lane]:
        yield {
            "name": UNCOUNTED,
            "match": {"prefix": prefix, **_ONLY[lane]},
            "route": _action(route, cluster_name(route, route.stable, lane)),
        }


def _stable(route: ModelRoute, slot: int, lane: Lane) -> Resource:
    return {
        "name": route_name(Role.STABLE, slot),
        "match": {"prefix": "/", **_ONLY[lane]},
        "route": _action(route, cluster_name(route, route.stable, lane)),
        "request_headers_to_add": [header(HEADER_ASSIGNED, route.stable.revision)],
    }


def _candidate(route: ModelRoute, slot: int, lane: Lane) -> Iterable[Resource]:
    candidate = route.candidate
    if candidate is None or candidate.weight == 0:
        return
    yield {
        "name": hedged_name(slot) if is_hedged(route, candidate, lane) else route_name(Role.CANDIDATE, slot),
        "match": {"prefix": "/", "runtime_fraction": _fraction(candidate.weight), **_ONLY[lane]},
        "route": _candidate_action(route, candidate, lane),
        "request_headers_to_add": [header(HEADER_ASSIGNED, candidate.revision)],
    }


def _fraction(weight: int) -> Resource:
    return {"default_value": {"numerator": weight, "denominator": "TEN_THOUSAND"}, "runtime_key": "penstock.unset"}


def _action(route: ModelRoute, cluster: str) -> Resource:
    """As callers know it: the whole time, and by the virtual host's policy a repetition only of what never reached a
    model."""
    return {"cluster": cluster, "timeout": seconds(route.timeout)}


def is_hedged(route: ModelRoute, candidate: Arm, lane: Lane) -> bool:
    """Whether stable is asked beside a candidate that is late, not instead of it. Then the repetition has the whole rest
    of the time: a try timeout that ends tries would end stable's as well."""
    return is_shielded(route, lane) and route.idempotent and bool(candidate.endpoints_of(lane))


def _candidate_action(route: ModelRoute, candidate: Arm, lane: Lane) -> Resource:
    if not is_shielded(route, lane):
        return _action(route, cluster_name(route, candidate, lane))
    if not candidate.endpoints_of(lane):
        return _action(route, shield_name(route, lane))
    shield: Resource = {
        "retry_on": NEVER_REACHED,
        "num_retries": 1,
        "retry_back_off": _BACK_OFF,
        "retry_priority": _NEXT_PRIORITY,
    }
    if route.idempotent:
        shield |= {
            "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-headers,retriable-status-codes",
            "retriable_status_codes": [429] if route.dialect is Dialect.MARKED else [400, 422, 429],
            "retriable_headers": list(_retriable(route.dialect)),
            "per_try_timeout": seconds(route.try_timeout),
        }
    return {
        "cluster": shielded_name(route, candidate, lane),
        "timeout": seconds(route.timeout),
        "retry_policy": shield,
        "hedge_policy": {"hedge_on_per_try_timeout": is_hedged(route, candidate, lane)},
    }


def _retriable(dialect: Dialect) -> Iterable[Resource]:
    """Headers of an answer that is not the caller's. A gRPC status is among them where nothing was answered before it; a
    header that is not there does not match, inverted or not."""
    regex = "|".join(map(str, fine(dialect)))
    yield {"name": "grpc-status", "string_match": {"safe_regex": {"regex": regex}}, "invert_match": True}
    yield {"name": HEADER_REFUSED, "present_match": True}
    if dialect is Dialect.MARKED:
        yield {"name": HEADER_SATURATED, "present_match": True}


_IN_ORDER = (Lane.GRPC, Lane.HTTP)
"""The first route that fits counts, and those of HTTP fit everything."""
_ONLY: Mapping[Lane, Resource] = {Lane.GRPC: {"grpc": {}}, Lane.HTTP: {}}
_BACK_OFF: Resource = {"base_interval": seconds(2), "max_interval": seconds(10)}
_NEXT_PRIORITY = extension(
    "envoy.retry_priorities.previous_priorities",
    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
    update_frequency=1,
)
