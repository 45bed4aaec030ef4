"""Bringing a pinned model to where it is served: fetched, proven against its digest, visible in one step."""

import errno
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from penstock_serving import contract
from penstock_serving.model.archive import Limits, discard
from penstock_serving.model.digest import Entry, digest, require_digest, safe_path, tree_entries
from penstock_serving.model.errors import BadModelError, RetryableModelError
from penstock_serving.model.files import model_directory
from penstock_serving.model.signing.signer import Signer
from penstock_serving.model.sources.local import fetch_local
from penstock_serving.model.sources.staging import Staging
from penstock_serving.model.sources.web import WebAccess, fetch_web, shown_url

PAUSES_SECONDS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model to fetch: where it is, what it must be, how large it may be, how to reach it, who must have signed it."""

    uri: str
    digest: str
    limits: Limits = field(default_factory=Limits)
    access: WebAccess = field(default_factory=WebAccess)
    volumes: Path = Path(contract.VOLUME_ROOT)
    signer: Signer | None = None


def fetch(wanted: Wanted, root: Path, pauses: Sequence[float] = PAUSES_SECONDS) -> Path:
    """Fetch the model into `root` and return its directory, proved and, where that is asked for, signed.

    Nothing is fetched when it is there and sound.

    Retries what may pass, after each of `pauses` (seconds), resuming what was downloaded. Raises `BadModelError` or
    `RetryableModelError` with the reason.
    """
    require_digest(wanted.digest)
    target = model_directory(root, wanted.digest)
    try:
        if target.exists():
            entries = tree_entries(target)
            if digest(entries) == wanted.digest:
                _require_signature(wanted, target, entries)
                return target
            discard(target)
        for pause in pauses:
            try:
                return _attempt(wanted, target)
            except RetryableModelError:
                time.sleep(pause)
        return _attempt(wanted, target)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise RetryableModelError(
                contract.REASON_NO_SPACE, "the volume for models is full; make it larger (spec.runtime.resources)"
            ) from error
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"the folder {root} cannot be written: {error.strerror}"
        ) from error


def _attempt(wanted: Wanted, target: Path) -> Path:
    staging = Staging(target.with_name(".partial-" + target.name), wanted.limits)
    resumed = staging.open()
    try:
        _obtain(wanted, staging)
    except BadModelError as error:
        staging.discard()
        if resumed and error.reason == contract.REASON_DIGEST_MISMATCH:
            return _attempt(wanted, target)  # the bytes of an earlier attempt may be of an earlier version
        raise
    staging.publish(target)
    return target


def _obtain(wanted: Wanted, staging: Staging) -> None:
    parts = urllib.parse.urlsplit(wanted.uri)
    shown = shown_url(wanted.uri)
    if "@" in parts.netloc:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"the model URI {shown} holds credentials; put them into spec.model.access"
        )
    match parts.scheme:
        case "" | "file" if parts.path.startswith("/") and parts.netloc in {"", "localhost"}:
            fetch_local(Path(urllib.parse.unquote(parts.path)), shown, staging)
        case "pvc" if parts.netloc:
            path = urllib.parse.unquote(parts.path).strip("/")
            volume = wanted.volumes / safe_path(parts.netloc)
            fetch_local(volume / safe_path(path) if path else volume, shown, staging)
        case "http" | "https" if parts.netloc:
            fetch_web(wanted.uri, wanted.digest, wanted.access, staging)
        case "s3":
            from penstock_serving.model.sources.objectstore import fetch_objects  # paid for only where it is used

            fetch_objects(wanted.uri, wanted.access.ca_file, staging)
        case _:
            raise BadModelError(
                contract.REASON_MISCONFIGURED,
                f"{shown!r} is no model URI; use file:///path, pvc://claim/path, https://host/path or s3://bucket/path",
            )
    entries = tree_entries(staging.tree)
    actual = digest(entries)
    if actual != wanted.digest:
        raise BadModelError(
            contract.REASON_DIGEST_MISMATCH,
            f"{shown} has the digest {actual}, but {wanted.digest} is wanted; "
            "the model was changed, or another one is meant",
        )
    _require_signature(wanted, staging.tree, entries)


def _require_signature(wanted: Wanted, tree: Path, entries: Iterable[Entry]) -> None:
    if wanted.signer is None:
        return
    from penstock_serving.model.signing.verification import require_signature  # paid for only where it is asked for

    require_signature(wanted.signer, tree, entries, datetime.now(UTC))
