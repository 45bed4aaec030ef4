"""Certificates of a cluster's components, and the kubeconfig files that use them."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster.binaries import Binaries
from localcluster.places import State
from localcluster.processes import run

SERVICE_ACCOUNT_KEY = "service-account"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for a server and a client; the common name is the user, the organizations are its groups."""

    name: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authority:
    """The files of a cluster's certificate authority."""

    folder: Path
    certificate: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "certificate", self.folder / "ca.crt")

    def of(self, name: str) -> tuple[Path, Path]:
        """The certificate and key file of one name."""
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"


def issue(certificates: Sequence[Certificate], *, binaries: Binaries, state: State) -> Authority:
    """Makes a new authority that signs the certificates, and the key for service-account tokens."""
    request = {
        "dir": str(state.pki),
        "certificates": [
            {"name": wanted.name, "commonName": wanted.user, "organizations": wanted.groups, "hosts": wanted.hosts}
            for wanted in certificates
        ],
        "keys": [SERVICE_ACCOUNT_KEY],
    }
    run([binaries.path("pki")], state=state.root, stdin=json.dumps(request).encode())
    return Authority(state.pki)


def write_kubeconfig(path: Path, *, server: str, authority: Authority, name: str) -> None:
    """A self-contained kubeconfig (JSON, which is YAML) for the user of one certificate."""
    certificate, key = authority.of(name)
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "penstock",
        "clusters": [
            {
                "name": "penstock",
                "cluster": {"server": server, "certificate-authority-data": _encoded(authority.certificate)},
            }
        ],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)},
            }
        ],
        "contexts": [{"name": "penstock", "context": {"cluster": "penstock", "user": name}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2))


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
