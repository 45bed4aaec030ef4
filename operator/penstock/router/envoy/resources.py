"""Building blocks of Envoy's configuration: typed extensions, durations, addresses, and the document of one file."""

import hashlib
import json
from collections.abc import Iterable
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


def overwrite(header: str, value: str) -> Resource:
    """A header set to this value whatever was there."""
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def file_source(path: Path) -> Resource:
    """A file that Envoy reads again whenever another is renamed onto it."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def document(resources: Iterable[Resource]) -> tuple[str, str]:
    """A discovery file and its version, which is the content's own digest: equal content is equal version."""
    body = json.dumps(list(resources), sort_keys=True, separators=(",", ":"))
    version = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f'{{"version_info":"{version}","resources":{body}}}', version
