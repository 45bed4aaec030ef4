"""Builds an image of the project's Dockerfile into an archive, without Docker and without a registry.

An archive is cached under a key over everything that goes into it: the Dockerfile's stages, the copied files, the base.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from localcluster import base, dockerfile, packages
from localcluster.dockerfile import Build
from localcluster.errors import RefusalError
from localcluster.locking import only_one
from localcluster.places import cache_root, digest_of
from localcluster.processes import run
from localcluster.progress import Part, Progress

KEPT_ARCHIVES = 3
MOST_BYTES = 6 * 2**30
IGNORED = {"__pycache__", ".git", ".venv", "node_modules"}
CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
CA_INSIDE = "/run/localcluster/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Request:
    """One image: the full name it gets, the Dockerfile and its target, and the folder that files are copied from."""

    name: str
    target: str
    file: Path
    context: Path


def build(request: Request, *, state: Path, progress: Progress) -> Path:
    """The archive of the image (format of `docker save`), built when no archive of the same inputs is cached.

    Raises RefusalError when a tool or the base is missing, StepError when the build fails.
    """
    needed = dockerfile.plan(request.file.read_text(), target=request.target)
    releases = {name: base.release_of(name) for name in needed.bases()}
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{_file_name(request.name)}-{_key(request, needed)}.tar"
    if archive.exists():
        os.utime(archive)
        return archive
    if os.geteuid() != 0:
        raise RefusalError("building an image needs root")
    packages.ensure(packages.IMAGE_TOOLS, progress=progress)
    with only_one(folder / ".lock", progress=progress, doing="images"):
        if not archive.exists():
            _clear_remains(folder)
            bases = {
                name: base.ensure(release, folder=folder, state=state, progress=progress)
                for name, release in releases.items()
            }
            _build(request, needed, bases, archive, state=state, progress=progress)
            _forget_old(folder, request.name)
    return archive


def _build(
    request: Request, needed: Build, bases: dict[str, Path], archive: Path, *, state: Path, progress: Progress
) -> None:
    work = archive.parent / f"work.partial-{os.getpid()}"
    work.mkdir()
    # Mount counts are kept in the run root: with a new one each time, a killed build leaves none behind.
    buildah = [packages.path_of("buildah"), "--root", str(archive.parent / "storage"), "--runroot", str(work / "run")]
    options = ["bud", "--layers", "--isolation", "chroot", "--network", "host", "--pull-never"]
    with progress.step(Part(f"build image {request.name}", 60)) as step:

        def tell(text: str) -> None:
            if text.startswith(("STEP", "[")):
                step.tick(text[:80])

        def call(*arguments: str) -> None:
            run([*buildah, *arguments], state=state, line=tell, idle=step.tick)

        call("rm", "--all")  # the working containers of a killed build
        for name, tree in bases.items():
            start = work / "base.Dockerfile"
            start.write_text(f'FROM scratch\nADD {tree.name} /\nCMD ["bash"]\n')
            call(*options, "--tag", _full(name), "--file", str(start), str(tree.parent))
        pruned = work / "Dockerfile"
        pruned.write_text(needed.text())
        if not (request.context / ".dockerignore").exists():
            (work / "ignored").write_text("".join(f"**/{name}\n" for name in sorted(IGNORED)))
            options += ["--ignorefile", str(work / "ignored")]
        mounts = _certificates(work)
        call(
            *options,
            *mounts,
            "--tag",
            request.name,
            "--target",
            request.target,
            "--file",
            str(pruned),
            str(request.context),
        )
        partial = archive.with_name(f"{archive.name}.partial-{os.getpid()}")
        call("push", request.name, f"docker-archive:{partial}:{request.name}")
        partial.rename(archive)
    shutil.rmtree(work)


def _key(request: Request, needed: Build) -> str:
    parts = [request.name.encode(), request.target.encode(), needed.text().encode(), base.RECIPE.encode()]
    for source in needed.sources():
        matches = sorted(request.context.glob(source.lstrip("./") or "*"))
        if not matches:
            raise RefusalError(f"the Dockerfile copies {source}, which is not in {request.context}")
        for path in matches:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                relative = file.relative_to(request.context)
                if file.is_file() and not IGNORED.intersection(relative.parts):
                    executable = b"x" if file.stat().st_mode & 0o100 else b"-"
                    parts += [str(relative).encode(), executable, file.read_bytes()]
    return digest_of(*parts)


def _certificates(work: Path) -> list[str]:
    """Mounts for a build on a machine that reaches package indexes only with its own certificate authority."""
    bundle = next((os.environ[name] for name in CA_VARIABLES if Path(os.environ.get(name, "")).is_file()), None)
    if bundle is None:
        return []
    pip = work / "pip.conf"
    pip.write_text(f"[global]\ncert = {CA_INSIDE}\n")
    return ["--volume", f"{bundle}:{CA_INSIDE}:ro", "--volume", f"{pip}:/etc/pip.conf:ro"]


def _clear_remains(folder: Path) -> None:
    """Removes what killed builds left, and all layers once they are large: nothing else ever forgets one."""
    if _size(folder / "storage") > MOST_BYTES:
        shutil.rmtree(folder / "storage")
    for path in folder.glob("*.partial-*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _size(folder: Path) -> int:
    """Bytes that the files below a folder hold."""
    return sum(os.lstat(os.path.join(parent, name)).st_size for parent, _, names in os.walk(folder) for name in names)


def _forget_old(folder: Path, name: str) -> None:
    archives = sorted(folder.glob(f"{_file_name(name)}-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in archives[KEPT_ARCHIVES:]:
        path.unlink()


def _file_name(name: str) -> str:
    return name.replace("/", "_").replace(":", "_")


def _full(name: str) -> str:
    """The name with its registry, as image stores keep it."""
    if name.startswith("debian:"):
        return f"docker.io/library/{name}"
    return name
