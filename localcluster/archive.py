"""An image archive (the format of `docker save`) with one file in one layer: the pod's pause container."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NOBODY = "65535:65535"


def write_pause(archive: Path, *, program: Path, name: str) -> Path:
    """An image that runs the program as its only file, under the given name."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as content:
        _add(content, "pause", program.read_bytes(), mode=0o755)
    machine = platform.machine()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": NOBODY},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(archive, mode="w") as content:
        _add(content, config_name, config, mode=0o644)
        _add(content, "layer.tar", layer.getvalue(), mode=0o644)
        _add(content, "manifest.json", manifest, mode=0o644)
    return archive


def _add(content: tarfile.TarFile, name: str, data: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = mode
    content.addfile(entry, io.BytesIO(data))
