"""Debian base images made by debootstrap, for building without a registry."""

import os
import re
from pathlib import Path

from localcluster.errors import RefusalError
from localcluster.packages import path_of
from localcluster.places import digest_of
from localcluster.processes import run
from localcluster.progress import Part, Progress

NAME = re.compile(r"^(?:docker\.io/)?(?:library/)?debian:([a-z]+)(-slim)?$")
# Makes the tree in $0 from release $1 (debootstrap knows the mirror), packs it into $2, without what no container reads.
RECIPE = """\
set -eu
debootstrap --variant=minbase "$1" "$0"
rm -rf "$0"/var/cache/apt/archives/*.deb "$0"/var/lib/apt/lists/* "$0"/var/log/*.log "$0"/var/cache/debconf/*-old
find "$0"/usr/share/doc -type f ! -name copyright -delete
rm -rf "$0"/usr/share/man/* "$0"/usr/share/locale/* "$0"/usr/share/info/*
tar --create --file "$2" --directory "$0" --numeric-owner .
rm -rf "$0"
"""


def release_of(image: str) -> str:
    """The Debian release behind an image name.

    Raises RefusalError for an image that cannot be made here.
    """
    match = NAME.match(image)
    if match is None:
        remedy = "only debian:RELEASE and debian:RELEASE-slim can be made without a registry"
        raise RefusalError(f"the Dockerfile starts from {image}: {remedy}")
    return match[1]


def ensure(release: str, *, folder: Path, state: Path, progress: Progress) -> Path:
    """A tar file with the root file system of a minimal Debian, made when the folder does not hold it.

    The caller holds the folder's lock.
    """
    archive = folder / f"debian-{release}-{digest_of(RECIPE.encode())}.tar"
    if archive.exists():
        return archive
    partial = folder / f"{archive.name}.partial-{os.getpid()}"
    tree = folder / f"tree.partial-{os.getpid()}"
    with progress.step(Part(f"make a minimal Debian {release}", 40)) as step:
        path_of("debootstrap")
        command = ["/bin/sh", "-c", RECIPE, str(tree), release, str(partial)]
        run(command, state=state, line=lambda text: step.tick(text[:60]), idle=step.tick)
        partial.rename(archive)
    return archive
