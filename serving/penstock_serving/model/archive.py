"""Unpacking archives that nobody vouches for: only regular files, inside the target, within limits."""

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, cast

from penstock_serving import contract
from penstock_serving.model.digest import Readable, chunks, safe_path
from penstock_serving.model.errors import BadModelError

_LARGEST_EXTENSION_HEADER = 64 << 10
_TAR_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a model may be: bytes of content in all, and number of files."""

    max_bytes: int = 2 << 30
    max_files: int = 10_000

    def refuse_bytes(self) -> BadModelError:
        return BadModelError(
            contract.REASON_TOO_LARGE,
            f"the model is larger than {self.max_bytes} bytes; raise the limit ({contract.ENV_MODEL_MAX_BYTES}) "
            "or make the model smaller",
        )

    def refuse_files(self) -> BadModelError:
        return BadModelError(contract.REASON_TOO_LARGE, f"the model has more than {self.max_files} files")


def _refuse(message: str) -> BadModelError:
    return BadModelError(contract.REASON_ARCHIVE_REFUSED, message)


class _Meter:
    """A reader that stops at a number of bytes, so that a small archive cannot become a large one."""

    def __init__(self, stream: Readable, limit: int, refusal: Callable[[], BadModelError]) -> None:
        self._stream, self._left, self._refusal = stream, limit, refusal

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise self._refusal()
        return data


class _StrictTarInfo(tarfile.TarInfo):
    """A header parser that reads no giant extension header into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        ordinary = member.type in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
        if not ordinary and member.size > _LARGEST_EXTENSION_HEADER:
            raise _refuse("the archive has an extension header that is too large")
        return member


class _Writer:
    """Writes files below a fresh directory; counts files and bytes."""

    def __init__(self, target: Path, limits: Limits) -> None:
        self._target, self._limits = target, limits
        self.files = 0
        self._bytes = 0

    def write(self, path: str, source: Readable) -> None:
        self.files += 1
        if self.files > self._limits.max_files:
            raise self._limits.refuse_files()
        full = self._target / safe_path(path)
        try:
            full.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except (FileExistsError, NotADirectoryError) as error:
            raise _refuse(f"the archive names {path[:120]!r} twice") from error
        with os.fdopen(handle, "wb") as out:
            for chunk in chunks(source):
                self._bytes += len(chunk)
                if self._bytes > self._limits.max_bytes:
                    raise self._limits.refuse_bytes()
                out.write(chunk)


def is_archive(name: str) -> bool:
    """Whether the name ends as one of the archives that can be unpacked."""
    return name.endswith((".tar.gz", ".tgz", ".tar", ".zip"))


def extract(archive: Path, name: str, target: Path, limits: Limits) -> None:
    """Unpack `archive` (its kind told by `name`) into the new directory `target`.

    Raises `BadModelError`: links, devices, encrypted members, paths that leave the target, a path named twice, more
    bytes or files than the limits, a damaged archive. Leaves a partial `target` behind then; the caller discards it.
    """
    target.mkdir()
    writer = _Writer(target, limits)
    try:
        if name.endswith(".zip"):
            _unzip(archive, writer)
        elif name.endswith(".tar"):
            with archive.open("rb") as stream:
                _untar(stream, writer, limits)
        else:
            with gzip.open(archive) as stream:
                _untar(stream, writer, limits)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _refuse(f"the archive is damaged or of an unknown kind ({type(error).__name__})") from error
    if not writer.files:
        raise _refuse("the archive holds no files")


def _untar(stream: Readable, writer: _Writer, limits: Limits) -> None:
    headers = (limits.max_files * 4 + 64) * _TAR_BLOCK
    metered = _Meter(stream, limits.max_bytes + headers + _LARGEST_EXTENSION_HEADER, limits.refuse_bytes)
    with tarfile.open(fileobj=cast("IO[bytes]", metered), mode="r|", tarinfo=_StrictTarInfo) as tar:
        for member in tar:
            path = member.name.removeprefix("./")
            if member.isdir():
                if path not in {"", "."}:
                    safe_path(path)
                continue
            if not member.isreg() or member.issparse():
                raise _refuse(f"{path[:120]!r} in the archive is no plain file (links and devices are refused)")
            content = tar.extractfile(member)
            if content is not None:
                writer.write(path, content)


def _unzip(archive: Path, writer: _Writer) -> None:
    with zipfile.ZipFile(archive) as unpacked:
        for member in unpacked.infolist():
            if member.is_dir():
                safe_path(member.filename.rstrip("/"))
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in {0, stat.S_IFREG} or member.flag_bits & 0x1:
                raise _refuse(f"{member.filename[:120]!r} in the archive is a link, special or encrypted")
            with unpacked.open(member) as content:
                writer.write(member.filename, content)


def discard(path: Path) -> None:
    """Remove a file or tree if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
