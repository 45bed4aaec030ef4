"""Holding a package's files to what was signed, both ways (OMS v1.0, sections 6.2, 6.3 and 8.4)."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock_serving.model.digest import CHUNK, Entry, open_regular
from penstock_serving.model.signing.border import OMS_FILE, refused
from penstock_serving.model.signing.statement import Statement

_NEVER_SIGNED = frozenset({OMS_FILE, ".git", ".gitignore", ".gitattributes", ".github"})
"""What the specification leaves out of every signature, at the package's top: nothing of it is read when serving."""
_SHOWN = 3


def require_contents(statement: Statement, tree: Path, entries: Iterable[Entry]) -> None:
    """Raise `BadModelError` (SignatureRefused) unless every file in `tree` is as it was signed, and every signed one there.

    `entries` are all regular files of `tree`, hashed; it must not change meanwhile. Stricter than the specification in one
    point: a file that the signer left out by `ignore_paths` is refused, as whoever could add it could add a model.
    """
    missing = dict(statement.resources)
    for entry in entries:
        left_out = entry.path.partition("/")[0] in _NEVER_SIGNED
        if statement.shard_size is not None and not entry.size and not left_out:
            raise refused(
                f"{entry.path[:120]!a} is empty, and signatures of shards say nothing of empty files; take it out, or sign "
                "the package with whole files"
            )
        for name, start, size in _pieces(statement, entry):
            signed = missing.pop(name, None)
            if signed is None and left_out:
                continue
            if signed is None:
                raise refused(
                    f"{name[:120]!a} is in the package but not signed; take it out, or sign the package as it is now"
                )
            if signed != _digest(statement, tree, entry, start, size):
                raise refused(
                    f"{name[:120]!a} is not what was signed; bring that file back, or sign the package as it is now"
                )
    if missing:
        shown = ", ".join(f"{name[:120]!a}" for name in sorted(missing)[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise refused(
            f"{shown}{more} is signed but not in the package; bring it back, or sign the package as it is now"
        )


def _pieces(statement: Statement, entry: Entry) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and length of each piece of a file that has a digest of its own; in shards an empty file has none."""
    if statement.shard_size is None:
        yield entry.path, 0, entry.size
        return
    for start in range(0, entry.size, statement.shard_size):
        end = min(start + statement.shard_size, entry.size)
        yield f"{entry.path}:{start}:{end}", start, end - start


def _digest(statement: Statement, tree: Path, entry: Entry, start: int, size: int) -> str:
    if statement.hash_type == "sha256" and size == entry.size:
        return entry.sha256
    hashed = hashlib.new(statement.hash_type)
    with open_regular(tree / entry.path) as stream:
        stream.seek(start)
        while size > 0 and (chunk := stream.read(min(size, CHUNK))):
            hashed.update(chunk)
            size -= len(chunk)
    return hashed.hexdigest()
