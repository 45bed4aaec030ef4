"""All of Envoy's configuration, kept apart by model, so that one model's part can be left as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from penstock.router.envoy.bootstrap import FILES
from penstock.router.envoy.clusters import clusters
from penstock.router.envoy.listeners import model_listener, ready_listener
from penstock.router.envoy.resources import Resource, document
from penstock.router.envoy.routes import route_configuration, virtual_host
from penstock.router.plan import RouterState


class Kind(StrEnum):
    """The three watched files, in the order in which a change must reach Envoy."""

    CLUSTERS = "cds"
    ROUTES = "rds"
    LISTENERS = "lds"


OURS = ""
"""Under this name are the parts that belong to no model."""

Part = tuple[Resource, ...]
Parts = Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where this router's Envoy listens besides its models' ports; `bind` is an address."""

    bind: str
    ready: int


def cluster_parts(state: RouterState) -> Parts:
    """Each model's clusters; those of routes that are leaving too, so that nothing in flight loses its way."""
    parts: dict[str, dict[object, Resource]] = {}
    for route in (*(item.route for item in state.leaving), *(model.route for model in state.models.values())):
        parts.setdefault(route.name, {}).update({cluster["name"]: cluster for cluster in clusters(route)})
    return {name: tuple(own.values()) for name, own in parts.items()}


def route_parts(state: RouterState) -> Parts:
    """Each model's virtual host; of a removed model, too, while connections to its listener wind down."""
    leaving = {item.route.name: (virtual_host(item.route, item.slot),) for item in state.leaving}
    return leaving | {name: (virtual_host(model.route, model.slot),) for name, model in state.models.items()}


def listener_parts(state: RouterState, ports: Ports, folder: Path) -> Parts:
    """Each model's listener, and the one that says readiness."""
    routes_file = folder / FILES[Kind.ROUTES]
    models = {name: (model_listener(model, ports.bind, routes_file),) for name, model in state.models.items()}
    return {OURS: (ready_listener(ports.bind, ports.ready),), **models}


def compose(kind: Kind, parts: Parts) -> tuple[str, str]:
    """A file's text and its version."""
    resources = [resource for name in sorted(parts) for resource in parts[name]]
    return document([route_configuration(resources)] if kind is Kind.ROUTES else resources)
