"""Where things are: the cache (shared, may be deleted at any time) and the state of one cluster (gone after `down`)."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Tier = Literal["control-plane", "node"]


def cache_root() -> Path:
    """The folder for built binaries and images: PENSTOCK_CACHE, else penstock in the user's cache folder."""
    chosen = os.environ.get("PENSTOCK_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "penstock"


def default_state(tier: Tier) -> Path:
    """The folder of the cluster that is meant when none is named."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").resolve()
    return base / "penstock" / tier


def digest_of(*parts: bytes) -> str:
    """A short content key over the parts, in order (16 hexadecimal digits)."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class State:
    """The folder of one cluster and the files in it."""

    root: Path

    @property
    def description(self) -> Path:
        """Written last, when the cluster is ready: a JSON object describing it."""
        return self.root / "cluster.json"

    @property
    def machine(self) -> Path:
        """What the supervisor runs."""
        return self.root / "machine.json"

    @property
    def kubeconfig(self) -> Path:
        """For kubectl and every client, as the cluster's administrator; self-contained."""
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def configuration(self) -> Path:
        """Configuration files of the components."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """One file per program."""
        return self.root / "logs"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON event per line, level Metadata."""
        return self.root / "audit" / "audit.log"

    @property
    def etcd(self) -> Path:
        """The database."""
        return self.root / "etcd"

    @property
    def box(self) -> Path:
        """What a node keeps on disk: its /var/lib, /var/log and /etc/cni."""
        return self.root / "box"

    @property
    def box_pid(self) -> Path:
        """Holds the process id of the box's first process."""
        return self.root / "box.pid"
