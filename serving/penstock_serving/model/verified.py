"""A package's files, proved against a pinned digest: the bytes that were hashed are the bytes that are read."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from penstock_serving import contract
from penstock_serving.model.digest import digest, hashed, open_regular, require_digest, walk
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import (
    ESTIMATOR_FILES,
    EXPLAIN_FILE,
    GOLDEN_FILE,
    ONNX_FILE,
    PROOF_FILE,
    SERVING_FILE,
    SIGNATURE_FILE,
)

_READ = frozenset({*ESTIMATOR_FILES, EXPLAIN_FILE, ONNX_FILE, PROOF_FILE, SERVING_FILE, SIGNATURE_FILE, GOLDEN_FILE})


@dataclass(frozen=True, slots=True)
class Verified:
    """A package whose digest was proved: where it is, open handles of the files that serving reads, and every file's
    SHA-256."""

    directory: Path
    digest: str
    handles: Mapping[str, BinaryIO]
    sha256: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.handles

    def size(self, name: str) -> int:
        """Bytes of a file that the package holds."""
        return os.fstat(self.handles[name].fileno()).st_size

    def read(self, name: str) -> bytes:
        """The file's bytes, hashed once more as they are in memory now: what is returned is what was pinned.

        Raises `BadModelError`: the package lacks the file, or it was written into since it was verified.
        """
        if name not in self.handles:
            raise BadModelError(
                contract.REASON_NOT_A_MODEL,
                f"the model holds no {name} at its top; make it with 'penstock package' or "
                "penstock_serving.jobs.package.package()",
            )
        stream = self.handles[name]
        stream.seek(0)
        content = stream.read()
        if hashlib.sha256(content).hexdigest() != self.sha256[name]:
            raise BadModelError(
                contract.REASON_DIGEST_MISMATCH,
                f"{name} was changed after its digest was verified; mount the model read-only",
            )
        return content


@contextmanager
def verified(directory: Path, pinned: str) -> Iterator[Verified]:
    """Hash every file of the package and, when they are the pinned digest's, hand out what was hashed.

    A file that is replaced afterwards is not looked at; one that is written into is refused when it is read.

    Raises `BadModelError`: no digest pinned, no directory, another digest.
    """
    require_digest(pinned)
    if not directory.is_dir():
        raise BadModelError(contract.REASON_NOT_FOUND, f"there is no model at {directory}; was it fetched?")
    with ExitStack() as handles:
        entries, kept = [], {}
        for path in walk(directory):
            stream = handles.enter_context(open_regular(directory / path))
            entries.append(hashed(stream, path))
            if path in _READ:
                kept[path] = stream
            else:
                stream.close()
        actual = digest(entries)
        if actual != pinned:
            raise BadModelError(
                contract.REASON_DIGEST_MISMATCH, f"the files at {directory} have the digest {actual}, not {pinned}"
            )
        yield Verified(directory, pinned, kept, {entry.path: entry.sha256 for entry in entries})
