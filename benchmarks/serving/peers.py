"""The peers' own environments, made once and kept in the user's cache, by what is installed in them."""

import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import joblib
import sklearn


@dataclass(frozen=True)
class Peer:
    """A peer and what pip installs for it, besides the scikit-learn that made the models."""

    name: str
    requirements: tuple[str, ...]

    @property
    def version(self) -> str:
        return self.requirements[0].partition("==")[2]


KSERVE = Peer("KServe", ("kserve==0.21.0",))
# mlserver 1.7.1 with uvloop 0.22 or newer: its worker dies ("no current event loop")
MLSERVER = Peer("MLServer", ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0"))
BENTOML = Peer("BentoML", ("bentoml==1.4.39",))
GRANIAN = Peer("granian", ("granian==2.8.7", "uvloop==0.21.0"))
PEERS = (KSERVE, MLSERVER, BENTOML, GRANIAN)


def environment(peer: Peer) -> Path:
    """The bin folder of the peer's environment, which is made where it is missing."""
    requirements = [*peer.requirements]
    if peer is not GRANIAN:
        requirements += [f"scikit-learn=={sklearn.__version__}", f"joblib=={joblib.__version__}"]
    key = hashlib.sha256(repr((requirements, sys.version_info[:2])).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "penstock" / "bench-serving" / f"{peer.name.lower()}-{peer.version}-{key}"
    if not (folder / "complete").exists():
        print(f"  installing {peer.name} {peer.version} …", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements], check=True)
        (folder / "complete").touch()
    return folder / "bin"
