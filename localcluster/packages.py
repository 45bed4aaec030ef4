"""Debian packages that a node needs, installed when missing."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import RefusalError, StepError
from localcluster.processes import TAIL_LINES
from localcluster.progress import Part, Progress, Step


@dataclass(frozen=True, slots=True)
class Tool:
    """A program or file and the Debian package that holds it."""

    path: str
    package: str

    def present(self) -> bool:
        """Whether this machine has it."""
        return (
            Path(self.path).exists() if self.path.startswith("/") else shutil.which(self.path, path=SEARCH) is not None
        )


SEARCH = ":".join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

NODE_TOOLS = (
    Tool("containerd", "containerd"),
    Tool("ctr", "containerd"),
    Tool("runc", "runc"),
    Tool("/usr/lib/cni/bridge", "containernetworking-plugins"),
    Tool("nft", "nftables"),
    Tool("conntrack", "conntrack"),
    Tool("ip", "iproute2"),
    Tool("iptables", "iptables"),
    Tool("mount", "mount"),
    Tool("nsenter", "util-linux"),
)
IMAGE_TOOLS = (Tool("buildah", "buildah"), Tool("debootstrap", "debootstrap"))


def path_of(program: str) -> str:
    """The full path of an installed program.

    Raises RefusalError when it is missing.
    """
    found = shutil.which(program, path=SEARCH)
    if found is None:
        raise RefusalError(f"{program} is missing; install the Debian package that holds it")
    return found


def pending(tools: tuple[Tool, ...]) -> list[Part]:
    """What `ensure` would have to do."""
    missing = _missing(tools)
    return [_part(missing)] if missing else []


def ensure(tools: tuple[Tool, ...], *, progress: Progress) -> None:
    """Installs the packages of the tools that are missing.

    Raises RefusalError when the machine has no apt-get, StepError when apt-get fails.
    """
    missing = _missing(tools)
    if not missing:
        return
    install(missing, progress=progress)
    still = [tool for tool in tools if not tool.present()]
    if still:
        names = ", ".join(f"{tool.path} (package {tool.package})" for tool in still)
        raise RefusalError(f"missing after installation: {names}; install them and try again")


def _missing(tools: tuple[Tool, ...]) -> list[str]:
    return sorted({tool.package for tool in tools if not tool.present()})


def _part(names: list[str]) -> Part:
    return Part(f"install {', '.join(names)}", 25)


def install(names: list[str], *, progress: Progress) -> None:
    """Installs packages without their recommendations, and without starting any service of theirs."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise RefusalError(
            f"missing on this machine, which has no apt-get: {', '.join(names)}; install them and try again"
        )
    with progress.step(_part(names)) as step:
        if subprocess.run(["dpkg", "--audit"], capture_output=True, check=False).stdout.strip():
            _apt(["dpkg", "--configure", "-a", "--force-confold"], step)  # finishes what an interrupted run left
        options = ["-y", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
        _apt([apt, *options, "update"], step)
        _apt([apt, *options, "--fix-broken", "--no-install-recommends", "install", *names], step)


def candidate_version(name: str) -> tuple[int, int]:
    """(major, minor) of the version that apt-get would install; (0, 0) if none."""
    if shutil.which("apt-cache") is None:
        return (0, 0)
    policy = subprocess.run(["apt-cache", "policy", name], capture_output=True, text=True, check=False).stdout
    match = re.search(r"Candidate: (?:\d+:)?(\d+)\.(\d+)", policy)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _apt(command: list[str], step: Step) -> None:
    # Not tied to this process: a package manager killed half-way leaves a half-configured machine, so it runs to its
    # end. With /run/systemd hidden the packages' scripts start no service.
    if Path("/run/systemd/system").is_dir() and shutil.which("unshare"):
        hidden = 'mount -t tmpfs tmpfs /run/systemd && exec "$0" "$@"'
        command = ["unshare", "--mount", "sh", "-c", hidden, *command]
    environment = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryFile() as output:  # a pipe would break, and apt-get with it, when this process is killed
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        while process.poll() is None:
            time.sleep(0.1)
            step.tick()
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if process.returncode != 0:
        raise StepError(f"`{' '.join(command)}` failed:\n" + "\n".join(lines[-TAIL_LINES:]))
