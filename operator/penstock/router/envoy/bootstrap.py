"""Envoy's bootstrap: where its files and its admin socket are, and which of its counters exist at all."""

import json
from pathlib import Path

from penstock.router.envoy.listeners import HTTP_STATS, SCOPE
from penstock.router.envoy.resources import Resource, file_source
from penstock.router.plan import DRAIN

ADMIN_SOCKET = "admin.sock"
FILES = {"lds": "lds.json", "cds": "cds.json", "rds": "rds.json"}

_KEPT_COUNTERS = (f"{SCOPE}.", f"http.{HTTP_STATS}.", "cluster_manager.", "listener_manager.", "server.", "runtime.")
"""Counters of single clusters and listeners stay out: with hundreds of models they cost megabytes and make each look
at the counters hold up Envoy's main thread, which also takes changes of weight."""

_LIMITS: Resource = {
    "overload.premature_reset_total_stream_count": 1_000_000_000,
    "http.max_requests_per_io_cycle": 10,
}
"""Envoy closes a connection once half of at least 500 requests were taken back within a second or two. That is what a
caller with short deadlines does while a model hangs, and its other calls would be lost with the connection: never here.
What the guard is for, connections that open and take back requests without end, is bounded otherwise: each gets its
turn after so many requests."""


def bootstrap(folder: Path) -> str:
    """The bootstrap document for an Envoy whose files are in this folder."""
    document: Resource = {
        "node": {"id": "penstock-router", "cluster": "penstock-router"},
        "admin": {"address": {"pipe": {"path": str(folder / ADMIN_SOCKET), "mode": 0o660}}},
        "dynamic_resources": {
            "cds_config": file_source(folder / FILES["cds"]),
            "lds_config": file_source(folder / FILES["lds"]),
        },
        "layered_runtime": {
            "layers": [{"name": "limits", "static_layer": _LIMITS}, {"name": "admin", "admin_layer": {}}]
        },
        "stats_config": {
            "use_all_default_tags": False,
            "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": prefix} for prefix in _KEPT_COUNTERS]}},
        },
    }
    return json.dumps(document, indent=1, sort_keys=True)


def arguments(folder: Path, concurrency: int) -> tuple[str, ...]:
    """Envoy's command line after its name. The drain is immediate so that each answer of a leaving listener tells its
    caller to come back on another connection."""
    return (
        *("--config-path", str(folder / "bootstrap.json")),
        *("--concurrency", str(concurrency)),
        *("--drain-time-s", f"{DRAIN:g}"),
        *("--drain-strategy", "immediate"),
        *("--parent-shutdown-time-s", f"{DRAIN + 1:g}"),
        "--disable-hot-restart",
        *("--log-level", "warning"),
    )
