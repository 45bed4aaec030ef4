"""Models in an S3-compatible object store: one archive, or every object under a prefix.

Credentials, region and endpoint come from the usual `AWS_*` variables of the environment; a store without TLS is asked
only with `AWS_ALLOW_HTTP=true`.
"""

import os
import urllib.parse
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from penstock_serving import contract
from penstock_serving.model.archive import is_archive
from penstock_serving.model.digest import CHUNK, safe_path
from penstock_serving.model.errors import BadModelError, ModelError, RetryableModelError
from penstock_serving.model.sources.staging import Part, Staging

if TYPE_CHECKING:
    from obstore import GetResult


def fetch_objects(url: str, ca_file: str, staging: Staging) -> None:
    """Bring the objects behind `s3://bucket/prefix` into the staging tree.

    Raises `RetryableModelError` when the store does not answer, `BadModelError` when it refuses, holds nothing there,
    or holds more than the limits.
    """
    parts = urllib.parse.urlsplit(url)
    key = parts.path.strip("/")
    if not parts.netloc or not key:
        raise BadModelError(contract.REASON_MISCONFIGURED, f"{url} names no bucket and prefix: s3://bucket/path")
    folder, _, name = key.rpartition("/")
    archive = is_archive(name)
    try:
        store = _store(parts.netloc, folder if archive else key, ca_file)
        if archive:
            part = staging.part(url)
            _download(store, name, part, staging)
            staging.unpack(part, name)
            return
        _download_all(store, url, staging)
    except (BaseError, FileNotFoundError) as error:
        raise _failure(url, error) from error


def _store(bucket: str, prefix: str, ca_file: str) -> S3Store:
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=10),
        "timeout": timedelta(seconds=60),
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
    }
    if ca_file:
        options["root_certificate"] = Path(ca_file).read_bytes()
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options=options,  # type: ignore[arg-type]
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},
    )


def _download_all(store: S3Store, url: str, staging: Staging) -> None:
    found = [meta for batch in obstore.list(store) for meta in batch if not meta["path"].endswith("/")]
    if not found:
        raise BadModelError(contract.REASON_NOT_FOUND, f"{url} holds no objects; check spec.model.uri")
    if len(found) > staging.limits.max_files:
        raise staging.limits.refuse_files()
    if sum(meta["size"] for meta in found) > staging.limits.max_bytes:
        raise staging.limits.refuse_bytes()
    staging.tree.mkdir(exist_ok=True)
    for meta in found:
        path = safe_path(meta["path"])
        if not staging.has(path):
            part = staging.part(path)
            _download(store, path, part, staging)
            staging.keep(part, path)


def _download(store: S3Store, path: str, part: Part, staging: Staging) -> None:
    """Fetch one object, going on where an earlier attempt stopped if the object is still the same version."""
    head = obstore.head(store, path)
    tag = head.get("e_tag") or ""
    if head["size"] > staging.limits.max_bytes:
        raise staging.limits.refuse_bytes()
    if not part.size or part.validated_by() != tag or part.size > head["size"]:
        part.restart(tag)
    if part.size == head["size"]:
        return
    answer = obstore.get(store, path, options={"range": {"offset": part.size}})
    part.append(_chunks(answer), staging.limits)


def _chunks(answer: "GetResult") -> Iterator[bytes]:
    for chunk in answer.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)


def _failure(url: str, error: BaseError | FileNotFoundError) -> ModelError:
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return BadModelError(contract.REASON_FORBIDDEN, f"{url}: access denied; check spec.model.access and its Secret")
    if isinstance(error, FileNotFoundError):
        return BadModelError(contract.REASON_NOT_FOUND, f"{url} was not found; check spec.model.uri")
    detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return RetryableModelError(contract.REASON_UNREACHABLE, f"{url} is unreachable: {detail}")
