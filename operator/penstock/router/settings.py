"""How one router pod is set up, from its environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.router.contract import AGENT_PORT, READY_PORT, SUPERVISOR_PORT
from penstock.router.errors import BadInputError
from penstock.router.kubernetes_api import SERVICE_ACCOUNT

POLL_SECONDS = 0.25
"""How often Envoy's counters are read, and the shortest interval of the ledger's rows."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`envoy_folder` holds Envoy's files and admin socket, `ledger_folder` the ledger and the agent's state; both
    outlive a container. `router` names this replica in the ledger. The table comes from `table_file` if there is one,
    else from a ConfigMap. `token_file`, if any, holds what callers must show as bearer token. `bind` is the address of
    Envoy's listeners, `agent_bind` that of the agent and its supervisor (empty: every address)."""

    envoy_folder: Path
    ledger_folder: Path
    router: str
    bind: str
    agent_bind: str = ""
    ready_port: int = READY_PORT
    agent_port: int = AGENT_PORT
    supervisor_port: int = SUPERVISOR_PORT
    table_file: Path | None = None
    table_config_map: str = ""
    table_namespace: str = ""
    api_host: str = ""
    api_port: int = 443
    account_folder: Path = SERVICE_ACCOUNT
    token_file: Path | None = None
    poll_seconds: float = POLL_SECONDS
    drain_seconds: float = 60.0


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises BadInputError naming the variable."""
    folder = Path(environment.get("PENSTOCK_ROUTER_FOLDER", "/run/penstock/router"))
    defaults = Settings(folder, folder, "", every_address())
    return Settings(
        envoy_folder=folder / "envoy",
        ledger_folder=folder / "ledger",
        router=environment.get("PENSTOCK_ROUTER_NAME") or environment.get("HOSTNAME") or "router",
        bind=environment.get("PENSTOCK_ROUTER_BIND", defaults.bind),
        agent_bind=environment.get("PENSTOCK_AGENT_BIND", defaults.agent_bind),
        ready_port=_whole(environment, "PENSTOCK_READY_PORT", defaults.ready_port),
        agent_port=_whole(environment, "PENSTOCK_AGENT_PORT", defaults.agent_port),
        supervisor_port=_whole(environment, "PENSTOCK_SUPERVISOR_PORT", defaults.supervisor_port),
        table_file=_path(environment, "PENSTOCK_TABLE_FILE"),
        table_config_map=environment.get("PENSTOCK_TABLE_CONFIG_MAP", ""),
        table_namespace=environment.get("PENSTOCK_TABLE_NAMESPACE", ""),
        api_host=environment.get("KUBERNETES_SERVICE_HOST", ""),
        api_port=_whole(environment, "KUBERNETES_SERVICE_PORT", defaults.api_port),
        account_folder=_path(environment, "PENSTOCK_ACCOUNT_FOLDER") or defaults.account_folder,
        token_file=_path(environment, "PENSTOCK_TOKEN_FILE"),
        poll_seconds=_seconds(environment, "PENSTOCK_POLL_SECONDS", defaults.poll_seconds),
        drain_seconds=_seconds(environment, "PENSTOCK_DRAIN_SECONDS", defaults.drain_seconds),
    )


def every_address() -> str:
    """What to bind to for callers of both IP families, on a kernel that may lack the newer one."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return "0.0.0.0"  # noqa: S104
    return "::"


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "")
    return Path(text) if text else None


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise BadInputError(name, f"must be a whole number from 1 to 65535, not {text!r}")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.01 <= value <= 3_600:
        raise BadInputError(name, f"must be seconds from 0.01 to 3600, not {text!r}")
    return value
