"""Which router port each model has: its own for life, because callers' Services and policies name it."""

from collections.abc import Mapping, Sequence

from penstock.api.names import FIRST_MODEL_PORT, LAST_MODEL_PORT
from penstock.reconcile.table import Entry
from penstock.world import Live, RoutedModel

_PORTS = range(FIRST_MODEL_PORT, LAST_MODEL_PORT + 1)


def ports_of(models: Sequence[RoutedModel], table: Mapping[str, Entry], reserved: frozenset[int]) -> Mapping[str, int]:
    """The port of each model by name; a model without one is left out, when all are taken.

    The table says what a model has; should it be lost, its Service does. Of two that claim one port the older keeps it.
    `reserved` ports are not given away: they belong to models that cannot be read just now.
    """
    oldest_first = sorted(models, key=_age)
    ports: dict[str, int] = {}
    taken = set(reserved)
    for claim in (_in_table, _in_service):
        for model in oldest_first:
            port = claim(model, table)
            name = model.deployment.metadata.name
            if name not in ports and port in _PORTS and port not in taken:
                ports[name] = port
                taken.add(port)
    free = (port for port in _PORTS if port not in taken)
    for model in oldest_first:
        name = model.deployment.metadata.name
        if name in ports:
            continue
        found = next(free, None)
        if found is not None:
            ports[name] = found
    return ports


def _age(model: RoutedModel) -> tuple[float, str]:
    made = model.deployment.metadata.creation_timestamp
    return (0.0 if made is None else made.timestamp(), model.deployment.metadata.name)


def _in_table(model: RoutedModel, table: Mapping[str, Entry]) -> int:
    metadata = model.deployment.metadata
    entry = table.get(metadata.name)
    return entry.port if entry is not None and entry.uid == metadata.uid else 0


def _in_service(model: RoutedModel, table: Mapping[str, Entry]) -> int:  # noqa: ARG001
    return service_port(model.service, model.deployment.metadata.uid)


def service_port(service: Live | None, owner_uid: str) -> int:
    """The port of the router that a Service of ours leads to; 0 when it says none."""
    if service is None or owner_uid not in service.owners:
        return 0
    ports = (service.manifest.get("spec") or {}).get("ports") or ()
    target = ports[0].get("targetPort") if ports else None
    return target if isinstance(target, int) else 0
