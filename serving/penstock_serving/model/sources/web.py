"""Models behind http:// and https://: one archive, or a directory whose manifest is served next to it.

For a directory `https://host/models/fraud` the manifest is `https://host/models/fraud.manifest`; its SHA-256 is the
digest, so it is proven before a single file is asked for.
"""

import hashlib
import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import IO

from penstock_serving import contract
from penstock_serving.model.archive import is_archive
from penstock_serving.model.digest import Entry, chunks, hash_stream, parse_manifest
from penstock_serving.model.errors import BadModelError, ModelError, RetryableModelError
from penstock_serving.model.sources.staging import Part, Staging

_TIMEOUT_SECONDS = 30.0
_LARGEST_MANIFEST = 8 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but neither from https to http nor with credentials to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise BadModelError(contract.REASON_FORBIDDEN, f"{shown_url(req.full_url)} redirects from https to http")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if following is not None and old.netloc != new.netloc:
            following.remove_header("Authorization")
        return following


@dataclass(frozen=True, slots=True)
class WebAccess:
    """How to reach the web: an Authorization header's value and a CA bundle's path, each empty for none."""

    authorization: str = ""
    ca_file: str = ""


def shown_url(url: str) -> str:
    """The URL without credentials and query, which may be secret."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def fetch_web(url: str, digest: str, access: WebAccess, staging: Staging) -> None:
    """Bring the model behind `url` into the staging tree.

    Raises `RetryableModelError` when the server does not answer or answers 408, 425, 429 or 5xx; `BadModelError` for
    every other refusal, a manifest that is not the digest's, and limits exceeded.
    """
    client = _Client(access)
    name = urllib.parse.urlsplit(url).path
    if is_archive(name):
        part = staging.part(url)
        client.download(url, part, staging)
        staging.unpack(part, name)
        return
    staging.tree.mkdir(exist_ok=True)
    for entry in _entries(client, url, digest, staging):
        if not staging.has(entry.path):
            part = staging.part(entry.path)
            client.download(_below(url, "/" + urllib.parse.quote(entry.path)), part, staging)
            _prove(part, entry, url)
            staging.keep(part, entry.path)


def _below(url: str, suffix: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _entries(client: "_Client", url: str, digest: str, staging: Staging) -> tuple[Entry, ...]:
    where = _below(url, ".manifest")
    content = client.read(where, _LARGEST_MANIFEST)
    actual = "sha256:" + hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise BadModelError(
            contract.REASON_DIGEST_MISMATCH,
            f"{shown_url(where)} belongs to the digest {actual}, but {digest} is wanted; "
            "the model was changed, or another one is meant",
        )
    entries = parse_manifest(content)
    if len(entries) > staging.limits.max_files:
        raise staging.limits.refuse_files()
    if sum(entry.size for entry in entries) > staging.limits.max_bytes:
        raise staging.limits.refuse_bytes()
    return entries


def _prove(part: Part, entry: Entry, url: str) -> None:
    part.content.touch()
    with part.content.open("rb") as stream:
        proven = hash_stream(stream) == (entry.sha256, entry.size)
    if not proven:
        part.restart("")
        raise BadModelError(
            contract.REASON_DIGEST_MISMATCH, f"{entry.path!r} under {shown_url(url)} is not what its manifest says"
        )


class _Client:
    def __init__(self, access: WebAccess) -> None:
        try:
            context = ssl.create_default_context(cafile=access.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise BadModelError(contract.REASON_MISCONFIGURED, f"CA bundle {access.ca_file!r} is unusable") from error
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "penstock-fetch"}
        if access.authorization:
            self._headers["Authorization"] = access.authorization

    def read(self, url: str, limit: int) -> bytes:
        try:
            with self._open(url, {}) as answer:
                content: bytes = answer.read(limit + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _failure(url, error) from error
        if len(content) > limit:
            raise BadModelError(contract.REASON_TOO_LARGE, f"{shown_url(url)} is larger than {limit} bytes")
        return content

    def download(self, url: str, part: Part, staging: Staging) -> None:
        """Fetch `url` into `part`, going on where an earlier attempt stopped if the server still has that version."""
        wanted: dict[str, str] = {}
        if part.size and part.validated_by():
            wanted = {"Range": f"bytes={part.size}-", "If-Range": part.validated_by()}
        try:
            with self._open(url, wanted) as answer:
                resumes = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(
                    f"bytes {part.size}-"
                )
                if not resumes:
                    part.restart(_strong_validator(answer.headers))
                length = answer.headers.get("Content-Length")
                due = part.size + int(length) if length and length.isdecimal() else None
                if due is not None and due > staging.limits.max_bytes:
                    raise staging.limits.refuse_bytes()
                part.append(chunks(answer), staging.limits)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                part.restart("")
            raise _failure(url, error) from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            raise _failure(url, error) from error
        if due is not None and part.size < due:
            raise RetryableModelError(
                contract.REASON_UNREACHABLE, f"{shown_url(url)} broke off after {part.size} of {due} bytes"
            )

    def _open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, headers=self._headers | headers)  # noqa: S310  (http and https only)
        answer: http.client.HTTPResponse = self._opener.open(request, timeout=_TIMEOUT_SECONDS)
        return answer


def _strong_validator(headers: Message) -> str:
    tag = headers.get("ETag", "")
    return "" if tag.startswith("W/") else tag


def _failure(url: str, error: OSError | http.client.HTTPException) -> ModelError:
    where = shown_url(url)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in _TRANSIENT or error.code == 416:
            return RetryableModelError(contract.REASON_UNREACHABLE, f"{where} answered {error.code}")
        if error.code in {401, 403}:
            return BadModelError(
                contract.REASON_FORBIDDEN, f"{where} answered {error.code}; check spec.model.access and its Secret"
            )
        return BadModelError(contract.REASON_NOT_FOUND, f"{where} answered {error.code}; check spec.model.uri")
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return BadModelError(
            contract.REASON_FORBIDDEN,
            f"the certificate of {where} is not trusted ({reason.verify_message}); set spec.model.access.caRef",
        )
    return RetryableModelError(contract.REASON_UNREACHABLE, f"{where} is unreachable: {reason}")
