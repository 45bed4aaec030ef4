"""All of Envoy's configuration, kept apart by model, so that one model's part can be left as it was.

A part is rendered once and remembered as text: with hundreds of models a change of one must not cost the others'
rendering, for it may be a rollback.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from penstock.router.envoy.bootstrap import FILES
from penstock.router.envoy.clusters import clusters
from penstock.router.envoy.listeners import model_listener, ready_listener
from penstock.router.envoy.resources import json_text
from penstock.router.envoy.routes import around_hosts, virtual_host
from penstock.router.plan import InForce, RouterState
from penstock.router.routing import ModelRoute


class Kind(StrEnum):
    """The three watched files, in the order in which a change must reach Envoy."""

    CLUSTERS = "cds"
    ROUTES = "rds"
    LISTENERS = "lds"


OURS = ""
"""Under this name are the parts that belong to no model."""

Part = str
"""Resources of one model as JSON, parted by commas."""
Parts = Mapping[str, Part]

_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Ports:
    """Where this router's Envoy listens besides its models' ports; `bind` is an address."""

    bind: str
    ready: int


def cluster_parts(state: RouterState) -> Parts:
    """Each model's clusters; those of routes that are leaving too, so that nothing in flight loses its way."""
    parts: dict[str, dict[str, str]] = {}
    for route in (*(item.route for item in state.leaving), *(model.route for model in state.models.values())):
        parts.setdefault(route.name, {}).update(_clusters(route))
    return {name: ",".join(own.values()) for name, own in parts.items()}


def route_parts(state: RouterState) -> Parts:
    """Each model's virtual host; of a removed model, too, while connections to its listener wind down."""
    leaving = {item.route.name: _host(item.route, item.slot) for item in state.leaving}
    return leaving | {name: _host(model.route, model.slot) for name, model in state.models.items()}


def listener_parts(state: RouterState, ports: Ports, folder: Path) -> Parts:
    """Each model's listener, and the one that says readiness."""
    routes_file = folder / FILES[Kind.ROUTES]
    models = {name: _listener(model, ports.bind, routes_file) for name, model in state.models.items()}
    return {OURS: json_text(ready_listener(ports.bind, ports.ready)), **models}


def compose(kind: Kind, parts: Parts) -> tuple[str, str]:
    """A file's text and its version, which is the content's own digest: equal content is equal version."""
    body = ",".join(parts[name] for name in sorted(parts))
    if kind is Kind.ROUTES:
        before, after = around_hosts()
        body = f"{before}{body}{after}"
    version = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f'{{"version_info":"{version}","resources":[{body}]}}', version


@lru_cache(_REMEMBERED)
def _clusters(route: ModelRoute) -> Mapping[str, str]:
    return {str(cluster["name"]): json_text(cluster) for cluster in clusters(route)}


@lru_cache(_REMEMBERED)
def _host(route: ModelRoute, slot: int) -> str:
    return json_text(virtual_host(route, slot))


@lru_cache(_REMEMBERED)
def _listener(model: InForce, bind: str, routes_file: Path) -> str:
    return json_text(model_listener(model, bind, routes_file))
