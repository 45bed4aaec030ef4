"""Building blocks of Envoy's configuration: typed extensions, durations, addresses, files."""

import json
from pathlib import Path

Resource = dict[str, object]
"""One JSON object of Envoy's v3 API."""

_TYPE = "type.googleapis.com/"


def typed(kind: str, **fields: object) -> Resource:
    """A message with its type, as Envoy's `Any` wants it."""
    return {"@type": _TYPE + kind, **fields}


def extension(name: str, kind: str, **fields: object) -> Resource:
    """A named extension and its typed configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def seconds(milliseconds: int) -> str:
    """A duration as protobuf's JSON has it."""
    whole, rest = divmod(milliseconds, 1_000)
    return f"{whole}.{rest:03d}s" if rest else f"{whole}s"


def socket_address(address: str, port: int) -> Resource:
    """An IP address and port; `::` also takes IPv4."""
    socket: Resource = {"address": address, "port_value": port}
    return {"socket_address": socket | ({"ipv4_compat": True} if address == "::" else {})}


def header(name: str, value: str) -> Resource:
    """A header to add. Ours are taken from callers' requests at the listener, so there is none to overwrite."""
    return {"header": {"key": name, "value": value}}


def file_source(path: Path) -> Resource:
    """A file that Envoy reads again whenever another is renamed onto it."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def json_text(resource: Resource) -> str:
    """A resource as compact JSON, always the same for the same content."""
    return json.dumps(resource, sort_keys=True, separators=(",", ":"))
