"""What a ready cluster says about itself, in its state folder."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from localcluster.binaries import Binaries
from localcluster.controlplane import Addresses
from localcluster.places import State, Tier

Provider = Literal["local", "kind", "context"]


@dataclass(frozen=True, slots=True)
class Description:
    """A ready cluster: who runs it, its API server's URL, its files, and the folder that holds kubectl."""

    tier: Tier
    provider: Provider
    kubernetes: str
    server: str
    kubeconfig: str
    audit_log: str
    logs: str
    commands: str


def describe(tier: Tier, addresses: Addresses, *, binaries: Binaries, state: State) -> Description:
    """The description of a cluster that has become ready."""
    return Description(
        tier=tier,
        provider="local",
        kubernetes=binaries.kubernetes,
        server=addresses.server,
        kubeconfig=str(state.kubeconfig),
        audit_log=str(state.audit_log),
        logs=str(state.logs),
        commands=str(binaries.commands),
    )


def write(description: Description, state: State) -> None:
    """Marks the cluster as ready."""
    state.description.write_text(json.dumps(asdict(description), indent=1))


def read(state: State) -> Description | None:
    """None when there is no ready cluster in the state folder."""
    try:
        return Description(**json.loads(state.description.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
