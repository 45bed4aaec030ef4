"""The cluster's programs, built from their Go modules into the cache.

The cache key covers the Kubernetes version and the content of every Go file, go.mod and go.sum; a build is put in its
place by one rename, so that an interrupted one is never mistaken for a whole one.
"""

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from localcluster import toolchain
from localcluster.errors import RefusalError
from localcluster.locking import only_one
from localcluster.places import digest_of
from localcluster.processes import run
from localcluster.progress import Part, Progress

SOURCES = Path(__file__).parent / "binaries"
PROGRAMS = (
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "machine",
    "pki",
)
STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
KEPT_BUILDS = 2
FETCH = Part("fetch the Go modules", 30)
BUILD_MEMORY = 3 * 2**30
BUILD_DISK = 8 * 2**30


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with the programs (links to one executable), `pause`, and kubectl in a `bin` of its own for users."""

    folder: Path
    kubernetes: str

    @property
    def commands(self) -> Path:
        """The folder with kubectl, to put on a PATH."""
        return self.folder / "bin"

    def path(self, program: str) -> str:
        """The full path of one program."""
        return str(self.folder / program)


def kubernetes_version() -> str:
    """The version of Kubernetes that is built, as `v1.34.4`."""
    match = re.search(r"^\tk8s\.io/kubernetes (v\S+)$", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ValueError("go.mod does not require k8s.io/kubernetes")
    return match[1]


def ensure(*, cache: Path, state: Path, progress: Progress) -> Binaries:
    """The programs, built first when the cache does not hold them.

    Raises RefusalError when there is no Go toolchain and none can be installed, or too little memory or disk to build;
    StepError when the build fails.
    """
    folder = _folder(cache)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_one(folder.parent / ".lock", progress=progress, doing="the binaries"):
            if not folder.exists():
                _build(folder, kubernetes_version(), cache=cache, state=state, progress=progress)
    return Binaries(folder, kubernetes_version())


def pending(cache: Path) -> list[Part]:
    """What `ensure` would have to do."""
    return [] if _folder(cache).exists() else [FETCH, _build_part(cache)]


def _build_part(cache: Path) -> Part:
    if (cache / "go" / "compiled").exists():  # only what has changed is compiled again
        return Part("rebuild Kubernetes, etcd and CoreDNS", 60)
    return Part("build Kubernetes, etcd and CoreDNS", 420)


def _folder(cache: Path) -> Path:
    version = kubernetes_version()
    sources = sorted(path for path in SOURCES.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
    contents = [part for path in sources for part in (str(path.relative_to(SOURCES)).encode(), path.read_bytes())]
    digest = digest_of(_link_flags(version).encode(), *contents)
    return cache / "binaries" / f"kubernetes-{version}-{platform.machine()}-{digest}"


def _build(folder: Path, version: str, *, cache: Path, state: Path, progress: Progress) -> None:
    _refuse_without_room(folder.parent)
    go = toolchain.find_go(
        toolchain.needed_by((SOURCES / "go.mod").read_text()), cache=cache, state=state, progress=progress
    )
    for stale in folder.parent.glob("*.partial-*"):
        shutil.rmtree(stale)
    for old in sorted(folder.parent.glob("kubernetes-*"), key=lambda path: path.stat().st_mtime)[:-KEPT_BUILDS]:
        shutil.rmtree(old)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir()
    environment = {
        "GOCACHE": str(cache / "go" / "build"),
        "GOMODCACHE": str(cache / "go" / "mod"),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    with progress.step(FETCH) as step:
        listed = run([str(go), "list", "-deps", "./..."], state=state, cwd=SOURCES, env=environment, idle=step.tick)
    total = sum(not text.startswith("go: ") for text in listed.splitlines())
    with progress.step(_build_part(cache)) as step:
        done = 0

        def count(text: str) -> None:
            nonlocal done
            done += not text.startswith(("go: ", "#"))

        def show() -> None:
            step.tick(f"package {min(done, total)} of {total}")

        command = ["nice", "-n", "10", str(go), "build", "-v", "-trimpath", "-buildvcs=false"]
        command += ["-ldflags", _link_flags(version), "-o", str(partial), ".", "./pause"]
        run(command, state=state, cwd=SOURCES, env=environment, line=count, idle=show)
    (cache / "go" / "compiled").touch()
    (partial / "binaries").rename(partial / "penstock-kube")
    for program in PROGRAMS:
        (partial / program).symlink_to("penstock-kube")
    (partial / "bin").mkdir()
    (partial / "bin" / "kubectl").symlink_to("../penstock-kube")
    partial.rename(folder)


def _link_flags(version: str) -> str:
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    variables = [f"-X {package}.{name}={value}" for package in STAMPED for name, value in stamp.items()]
    return " ".join(["-s", "-w", *variables])


def _refuse_without_room(folder: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory < BUILD_MEMORY:
        raise RefusalError(
            f"building Kubernetes needs {BUILD_MEMORY >> 30} GiB of memory; this machine has {memory / 2**30:.1f}"
        )
    free = shutil.disk_usage(folder).free
    if free < BUILD_DISK:
        raise RefusalError(
            f"building Kubernetes needs {BUILD_DISK >> 30} GiB of disk in {folder}, which has {free / 2**30:.1f}: "
            "free some, or point PENSTOCK_CACHE elsewhere"
        )
