"""The training data's digest: what a card names, and what a later look at the data can be compared with."""

from pathlib import Path

from penstock_serving import contract
from penstock_serving.model.card import Data
from penstock_serving.model.digest import hash_stream, open_regular, tree_digest
from penstock_serving.model.errors import BadModelError


def data_digest(path: Path) -> str:
    """`sha256:…` of a file's content (as `sha256sum` tells it), or the digest of a directory as models have it.

    Raises `BadModelError` for what is neither.
    """
    if path.is_dir():
        return tree_digest(path)
    with open_regular(path) as stream:
        return "sha256:" + hash_stream(stream)[0]


def require_same(data: Data, path: Path) -> None:
    """Raise `BadModelError` unless what is at `path` is the data that the card names."""
    actual = data_digest(path)
    if actual != data.digest:
        raise BadModelError(
            contract.REASON_DIGEST_MISMATCH,
            f"the data at {path} have the digest {actual}; the model was trained on {data.digest}, "
            f"version {data.version or '(unnamed)'}",
        )
