"""The digest of a directory: what a revision is pinned to.

The manifest of a directory has one line per regular file, `<sha256 of the content> <size in bytes> <POSIX path>`, lines
sorted as bytes, each ended by a newline. The digest is `sha256:` and the hexadecimal SHA-256 of that manifest. Modes,
times, owners and empty directories do not count; hidden files do; symbolic links, other special files and paths that
leave the directory are refused. So a manifest that is served next to the files proves itself against the digest.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError, ModelError, RetryableModelError

CHUNK = 1 << 20
_TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) (?P<size>0|[1-9][0-9]{0,18}) (?P<path>.+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree: its content's SHA-256 (hexadecimal), size in bytes and path relative to the tree."""

    sha256: str
    size: int
    path: str

    @property
    def line(self) -> str:
        return f"{self.sha256} {self.size} {self.path}\n"


def require_digest(text: str) -> str:
    """Return `text` if it is a well-formed digest, else raise `BadModelError`."""
    if not _DIGEST.fullmatch(text):
        raise BadModelError(
            contract.REASON_NOT_PINNED,
            f"model digest {text[:80]!r} is not 'sha256:' and 64 lower-case hexadecimal digits; "
            "compute it with 'penstock digest DIR' and set spec.model.digest",
        )
    return text


def safe_path(path: str) -> str:
    """Return a relative POSIX path that stays inside its tree, else raise `BadModelError`."""
    inside = not any(part in {"", ".", ".."} for part in path.split("/"))
    plain = not any(c < " " or c in "\\\x7f" or "\ud800" <= c <= "\udfff" for c in path)
    if not (inside and plain):
        raise BadModelError(
            contract.REASON_ARCHIVE_REFUSED,
            f"the path {path[:120]!a} is refused: paths are relative UTF-8 text without '.', '..', backslashes "
            "or control characters",
        )
    return path


def manifest(entries: Iterable[Entry]) -> bytes:
    """The manifest of the entries; a path that occurs twice is refused."""
    found = list(entries)
    if len({entry.path for entry in found}) != len(found):
        raise BadModelError(contract.REASON_ARCHIVE_REFUSED, "the model names a path twice")
    return b"".join(sorted(entry.line.encode() for entry in found))


def digest(entries: Iterable[Entry]) -> str:
    """The digest of the entries, `sha256:…`."""
    return "sha256:" + hashlib.sha256(manifest(entries)).hexdigest()


def parse_manifest(content: bytes) -> tuple[Entry, ...]:
    """Read a manifest; raise `BadModelError` for anything but the canonical form."""
    try:
        lines = content.decode().removesuffix("\n").split("\n") if content else []
    except UnicodeDecodeError as error:
        raise BadModelError(contract.REASON_NOT_A_MODEL, "the model's manifest is not UTF-8 text") from error
    entries = []
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadModelError(
                contract.REASON_NOT_A_MODEL,
                f"line {number} of the model's manifest is not '<sha256> <size> <path>'; "
                "write it with 'penstock digest --manifest DIR'",
            )
        entries.append(Entry(match["sha256"], int(match["size"]), safe_path(match["path"])))
    if manifest(entries) != content:
        raise BadModelError(contract.REASON_NOT_A_MODEL, "the model's manifest is not sorted or not newline-ended")
    return tuple(entries)


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes: ...


def chunks(stream: Readable) -> Iterator[bytes]:
    """The rest of a stream in pieces of at most `CHUNK` bytes."""
    while chunk := stream.read(CHUNK):
        yield chunk


def hash_stream(stream: Readable) -> tuple[str, int]:
    """SHA-256 (hexadecimal) and length in bytes of the rest of a stream."""
    sha, size = hashlib.sha256(), 0
    for chunk in chunks(stream):
        sha.update(chunk)
        size += len(chunk)
    return sha.hexdigest(), size


def unreadable(error: OSError) -> ModelError:
    """What a file or folder of a model that cannot be read means."""
    what = f"{Path(error.filename).name!r} in the model cannot be read: {error.strerror}"
    if error.errno in _TRANSIENT:
        return RetryableModelError(contract.REASON_UNREACHABLE, what)
    if isinstance(error, PermissionError):
        return BadModelError(contract.REASON_FORBIDDEN, f"{what}; let user {contract.RUN_AS_USER} read it")
    return BadModelError(contract.REASON_NOT_A_MODEL, what)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file without following a symbolic link; raise `BadModelError` for anything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise unreadable(error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadModelError(contract.REASON_NOT_A_MODEL, f"{path.name!r} in the model is no regular file")
    return os.fdopen(handle, "rb")


def walk(root: Path) -> Iterator[str]:
    """Relative POSIX paths of the regular files under `root`, sorted; links and special files raise `BadModelError`."""
    for folder, folders, files in os.walk(root, onerror=_raise_unreadable):
        folders.sort()
        for name in sorted((*folders, *files)):
            full = Path(folder, name)
            relative = PurePosixPath(full.relative_to(root)).as_posix()
            mode = full.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise BadModelError(
                    contract.REASON_ARCHIVE_REFUSED, f"{relative!r} is a symbolic link; copy the file in its place"
                )
            if stat.S_ISREG(mode):
                yield safe_path(relative)
            elif not stat.S_ISDIR(mode):
                raise BadModelError(contract.REASON_ARCHIVE_REFUSED, f"{relative!r} is no regular file")


def _raise_unreadable(error: OSError) -> None:
    raise unreadable(error) from error


def hashed(stream: Readable, path: str) -> Entry:
    """The entry of an open file."""
    sha256, size = hash_stream(stream)
    return Entry(sha256, size, path)


def tree_entries(root: Path) -> tuple[Entry, ...]:
    """Hash every file under `root`."""
    entries = []
    for path in walk(root):
        with open_regular(root / path) as stream:
            entries.append(hashed(stream, path))
    return tuple(entries)


def tree_digest(root: Path) -> str:
    """The digest of a directory, `sha256:…`. Raises `BadModelError` where the directory has none."""
    if not root.is_dir():
        raise BadModelError(contract.REASON_NOT_FOUND, f"{str(root)!r} is no directory")
    return digest(tree_entries(root))
