"""Listeners: a port per model that names the model and counts every answer, and the port that says readiness."""

from collections.abc import Iterable
from pathlib import Path

from penstock.router.contract import HEADER_MODEL, HEADER_REFUSED, HEADER_SATURATED, READY_PATH
from penstock.router.envoy.bands import Band, bands
from penstock.router.envoy.clusters import METADATA, SHIELD_MARK
from penstock.router.envoy.resources import Resource, extension, file_source, header, seconds, socket_address, typed
from penstock.router.envoy.routes import ROUTES
from penstock.router.grpc_status import no_failures
from penstock.router.plan import LONGEST_UPLOAD, InForce
from penstock.router.routing import Dialect

HTTP_STATS = "models"
"""Prefix of Envoy's own counters of requests in flight, over all models."""
TRY = "try"
"""Counter of tries: one request to one pod, counted when it ends. The first try of a request is the evidence."""
END = "end"
"""Counter of requests whose end was no answer, a 5xx or a failing gRPC status: what callers felt, and requests that had
no try at all."""
SCOPE = "penstock"

MOST_COUNTERS = 2_000
"""Most counters of one model: a model server that makes up status codes must not fill Envoy's memory."""

CALLS_OF_A_CONNECTION = 256
"""Most HTTP/2 requests at once on a caller's connection; clients keep the rest back, or open another connection. Many, as
a gRPC client has one connection for everything, and bounded, as each may be kept for its repetition (`maxBody`)."""
STREAM_WINDOW = 2**20
"""Bytes that a caller may send of one request before Envoy asked for more: no more than is kept of most."""
CONNECTION_WINDOW = 4 * 2**20
"""The same for all requests on a connection. One that is not read on must not stop the others."""

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_CODE = ("code", "%RESPONSE_CODE%")
_FLAGS = ("flags", "%RESPONSE_FLAGS%")
_GRPC = ("grpc", "%GRPC_STATUS_NUMBER%")
_WHOSE = (("slot", "%ROUTE_NAME%"), ("attempt", "%REQ(x-envoy-attempt-count)%"))
_TRY_TAGS = (
    *_WHOSE,
    ("shield", f"%UPSTREAM_METADATA({METADATA}:{SHIELD_MARK})%"),
    _CODE,
    _FLAGS,
    ("refused", f"%RESP({HEADER_REFUSED}):1%"),
    ("saturated", f"%RESP({HEADER_SATURATED}):1%"),
    _GRPC,
)
_END_TAGS = (*_WHOSE, _CODE, _FLAGS, _GRPC)


def model_listener(model: InForce, bind: str, routes_file: Path) -> Resource:
    """The model's port. It changes with what decides how answers count, and with nothing that a release changes."""
    route = model.route
    router = extension(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        upstream_log=[
            _counter(model, TRY, (*_TRY_TAGS, ("band", str(band))), _lasting(band))
            for band in bands(model.scope.try_timeout, model.scope.thresholds)
        ],
    )
    return _listener(
        route.name,
        socket_address(bind, route.port),
        stat_prefix=HTTP_STATS,
        rds={
            "route_config_name": ROUTES,
            "config_source": file_source(routes_file),
        },
        early_header_mutation_extensions=[_name_model(route.name)],
        access_log=[_counter(model, END, _END_TAGS, _unhappy(model.scope.dialect))],
        http_filters=[router],
        request_timeout=f"{LONGEST_UPLOAD:g}s",
    )


def ready_listener(bind: str, port: int) -> Resource:
    """Says 200 until this Envoy is told to fail its health check. It exists once the configuration is complete, so it
    needs no agent to say so."""
    health = extension(
        "envoy.filters.http.health_check",
        "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[{"name": ":path", "string_match": {"exact": READY_PATH}}],
    )
    nothing = {"name": "nothing", "match": {"prefix": "/"}, "direct_response": {"status": 404}}
    return _listener(
        "ready",
        socket_address(bind, port),
        stat_prefix="ready",
        route_config={"name": "ready", "virtual_hosts": [{"name": "ready", "domains": ["*"], "routes": [nothing]}]},
        http_filters=[health, extension("router", "envoy.extensions.filters.http.router.v3.Router")],
        request_timeout="5s",
    )


def _listener(name: str, address: Resource, **http: object) -> Resource:
    manager = extension(
        "http",
        _HCM,
        codec_type="AUTO",
        request_headers_timeout=seconds(10_000),
        http2_protocol_options={
            "max_concurrent_streams": CALLS_OF_A_CONNECTION,
            "initial_stream_window_size": STREAM_WINDOW,
            "initial_connection_window_size": CONNECTION_WINDOW,
        },
        **http,
    )
    return typed(
        "envoy.config.listener.v3.Listener",
        name=name,
        address=address,
        filter_chains=[{"filters": [manager]}],
    )


def _name_model(model: str) -> Resource:
    """Before any routing: the model's name, and none of the headers by which a caller could steer Envoy's retries,
    timeouts or counts."""
    return extension(
        "envoy.http.early_header_mutation.header_mutation",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[
            {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},
            {"remove_on_match": {"key_matcher": {"prefix": "x-penstock-"}}},
            {"append": header(HEADER_MODEL, model)},
        ],
    )


def _counter(model: InForce, kind: str, tags: Iterable[tuple[str, str]], only: Resource) -> Resource:
    logger = extension(
        "envoy.access_loggers.stats",
        "envoy.extensions.access_loggers.stats.v3.Config",
        stats_scope={
            "prefix": f"{SCOPE}.{model.route.name}.{model.scope.generation}",
            "sharing_name": f"{model.route.name}.{model.scope.generation}",
            "max_counters": MOST_COUNTERS,
        },
        counters=[
            {
                "stat": {"name": kind, "tags": [{"name": name, "value_format": form} for name, form in tags]},
                "value_fixed": 1,
            }
        ],
    )
    return logger | {"filter": only}


def _compare(filter_name: str, op: str, value: int) -> Resource:
    return {filter_name: {"comparison": {"op": op, "value": {"default_value": value, "runtime_key": "penstock.unset"}}}}


def _lasting(band: Band) -> Resource:
    limits = [_compare("duration_filter", "GE", band.low)] if band.low else []
    limits += [] if band.high is None else [_compare("duration_filter", "LE", band.high)]
    return limits[0] if len(limits) == 1 else {"and_filter": {"filters": limits}}


GRPC_TYPES = r"application/grpc(\+.*)?"
"""Content types that Envoy takes for gRPC; gRPC-Web is not among them."""
_GRPC_REQUEST: Resource = {
    "header_filter": {"header": {"name": "content-type", "string_match": {"safe_regex": {"regex": GRPC_TYPES}}}}
}
"""Envoy takes every answer without a status for one of UNKNOWN: REST is to be asked for none."""


def _unhappy(dialect: Dialect) -> Resource:
    failed: Resource = {"grpc_status_filter": {"statuses": list(no_failures(dialect)), "exclude": True}}
    return {
        "or_filter": {
            "filters": [
                _compare("status_code_filter", "GE", 500),
                {"response_flag_filter": {}},
                {"and_filter": {"filters": [_GRPC_REQUEST, failed]}},
            ]
        }
    }
