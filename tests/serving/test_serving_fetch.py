"""A model is fetched whole, proven and at once, from wherever it is; or the reason is named and nothing is left behind."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from penstock_serving import contract
from penstock_serving.model.archive import Limits
from penstock_serving.model.digest import manifest, tree_digest, tree_entries
from penstock_serving.model.errors import BadModelError, ModelError, RetryableModelError
from penstock_serving.model.fetch import Wanted, fetch
from penstock_serving.model.sources.web import WebAccess

FILES = {"model.joblib": os.urandom(300_000), "signature.json": b"{}", "notes/read me.txt": b"hello"}


@dataclass
class Store:
    """An HTTP server of files, with ranges, ETags and the listing of S3; it can be told to misbehave."""

    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.requests if asked == path]


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            path = urllib.parse.unquote(parts.path)
            store.requests.append((path, {key.lower(): value for key, value in self.headers.items()}))
            if store.statuses.get(path):
                self.answer(store.statuses[path].pop(0), b"", {})
            elif path in store.redirects:
                self.answer(302, b"", {"Location": store.redirects[path]})
            elif "list-type" in urllib.parse.parse_qs(parts.query):
                self.answer(200, listing(store, path, parts.query), {"Content-Type": "application/xml"})
            elif path in store.files:
                self.file(path)
            else:
                self.answer(404, b"", {})

        def file(self, path: str) -> None:
            content = store.files[path]
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            headers = {"ETag": tag, "Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT"}
            wanted = self.headers.get("Range")
            if wanted and self.headers.get("If-Range", tag) == tag:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.answer(206, content[start:], headers, store.cut_after.pop(path, None))
            else:
                self.answer(200, content, headers, store.cut_after.pop(path, None))

        def answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        store.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield store
        server.shutdown()


def listing(store: Store, bucket: str, query: str) -> bytes:
    prefix = urllib.parse.parse_qs(query).get("prefix", [""])[0]
    keys = [
        path.removeprefix(bucket.rstrip("/") + "/") for path in store.files if path.startswith(bucket.rstrip("/") + "/")
    ]
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(store.files[bucket.rstrip('/') + '/' + key])}</Size>"
        '<LastModified>2026-11-23T00:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>'
        for key in sorted(keys)
        if key.startswith(prefix)
    )
    return (
        f'<?xml version="1.0"?><ListBucketResult><Name>b</Name><Prefix>{prefix}</Prefix>'
        f"<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    ).encode()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def packed(tree: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(FILES):
            archive.add(tree / path, path)
    return gzip.compress(out.getvalue())


def publish(store: Store, tree: Path) -> None:
    """Serve the tree as an archive, as a directory with its manifest, and as a bucket."""
    store.files["/m/fraud.tar.gz"] = packed(tree)
    store.files["/m/fraud.manifest"] = manifest(tree_entries(tree))
    for path, content in FILES.items():
        store.files[f"/m/fraud/{path}"] = content
        store.files[f"/bucket/fraud/v1/{path}"] = content
    store.files["/bucket/fraud/v10/other"] = b"of another version"
    store.files["/bucket/archives/fraud.tar.gz"] = packed(tree)


def assert_only(root: Path, directory: Path, digest: str) -> None:
    """The model is there, whole, and nothing else is."""
    assert directory == root / digest.replace(":", "-")
    assert tree_digest(directory) == digest
    assert [path.name for path in root.iterdir()] == [directory.name]


def assert_refused(wanted: Wanted, root: Path, reason: str, kind: type[ModelError] = BadModelError) -> ModelError:
    with pytest.raises(ModelError) as refusal:
        fetch(wanted, root, pauses=(0.0,))
    assert (type(refusal.value), refusal.value.reason) == (kind, reason)
    assert not (root / wanted.digest.replace(":", "-")).exists()
    return refusal.value


@pytest.fixture
def s3(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "uri",
    [
        "file://{tree}",
        "{tree}",
        "pvc://claim/fraud",
        "pvc://claim/fraud.tar.gz",
        "{url}/m/fraud",
        "{url}/m/fraud/",
        "{url}/m/fraud.tar.gz",
        "{url}/m/fraud.tar.gz?signature=secret",
        "s3://bucket/fraud/v1",
        "s3://bucket/fraud/v1/",
        "s3://bucket/archives/fraud.tar.gz",
    ],
)
def test_a_model_is_fetched_from_everywhere(
    uri: str, tree: Path, root: Path, store: Store, s3: None, tmp_path: Path
) -> None:
    publish(store, tree)
    shutil.copytree(tree, tmp_path / "volumes/claim/fraud")
    (tmp_path / "volumes/claim/fraud.tar.gz").write_bytes(packed(tree))
    digest = tree_digest(tree)
    wanted = Wanted(uri.format(tree=tree, url=store.url), digest, volumes=tmp_path / "volumes")
    assert_only(root, fetch(wanted, root), digest)


def test_a_model_that_is_there_is_not_fetched_again(tree: Path, root: Path, store: Store) -> None:
    publish(store, tree)
    wanted = Wanted(f"{store.url}/m/fraud", tree_digest(tree))
    fetch(wanted, root)
    asked = len(store.requests)
    assert_only(root, fetch(wanted, root), wanted.digest)
    assert len(store.requests) == asked


def test_a_model_that_was_changed_in_place_is_fetched_again(tree: Path, root: Path) -> None:
    wanted = Wanted(str(tree), tree_digest(tree))
    (fetch(wanted, root) / "model.joblib").write_bytes(b"tampered")
    assert_only(root, fetch(wanted, root), wanted.digest)


@pytest.mark.parametrize("uri", ["{url}/m/fraud", "{url}/m/fraud.tar.gz"])
def test_a_broken_download_goes_on_where_it_stopped(uri: str, tree: Path, root: Path, store: Store) -> None:
    publish(store, tree)
    big = "/m/fraud.tar.gz" if uri.endswith("gz") else "/m/fraud/model.joblib"
    store.cut_after[big] = 200_000
    wanted = Wanted(uri.format(url=store.url), tree_digest(tree))
    with pytest.raises(RetryableModelError, match="broke off after 200000 of"):
        fetch(wanted, root, pauses=())
    assert_only(root, fetch(wanted, root, pauses=()), wanted.digest)
    assert [headers.get("range") for headers in store.asked(big)] == [None, "bytes=200000-"]


def test_a_model_that_changed_while_broken_off_is_fetched_from_the_start(tree: Path, root: Path, store: Store) -> None:
    publish(store, tree)
    old = store.files["/m/fraud.tar.gz"]
    store.files["/m/fraud.tar.gz"] = bytes(len(old))
    store.cut_after["/m/fraud.tar.gz"] = 1000
    wanted = Wanted(f"{store.url}/m/fraud.tar.gz", tree_digest(tree))
    with pytest.raises(RetryableModelError):
        fetch(wanted, root, pauses=())
    store.files["/m/fraud.tar.gz"] = old
    assert_only(root, fetch(wanted, root, pauses=()), wanted.digest)


def test_objects_are_resumed_too(tree: Path, root: Path, store: Store, s3: None) -> None:
    publish(store, tree)
    wanted = Wanted("s3://bucket/archives/fraud.tar.gz", tree_digest(tree))
    partial = root / (".partial-" + wanted.digest.replace(":", "-"))
    stem = partial / "parts" / hashlib.sha256(wanted.uri.encode()).hexdigest()
    stem.parent.mkdir(parents=True)
    content = store.files["/bucket/archives/fraud.tar.gz"]
    stem.write_bytes(content[:1000])
    stem.with_suffix(".validator").write_text(f'"{hashlib.md5(content).hexdigest()}"')
    assert_only(root, fetch(wanted, root, pauses=()), wanted.digest)
    assert store.asked("/bucket/archives/fraud.tar.gz")[-1]["range"].startswith("bytes=1000-")


def test_what_may_pass_is_tried_again(tree: Path, root: Path, store: Store) -> None:
    publish(store, tree)
    store.statuses["/m/fraud.tar.gz"] = [503, 429, 500]
    wanted = Wanted(f"{store.url}/m/fraud.tar.gz", tree_digest(tree))
    assert_only(root, fetch(wanted, root, pauses=(0.0, 0.0, 0.0)), wanted.digest)


@pytest.mark.parametrize(
    ("uri", "statuses", "reason", "kind", "words"),
    [
        ("{url}/m/nothing.tar.gz", [], "ModelNotFound", BadModelError, "answered 404; check spec.model.uri"),
        ("{url}/m/fraud.tar.gz", [403], "ModelForbidden", BadModelError, "check spec.model.access"),
        ("{url}/m/fraud.tar.gz", [401], "ModelForbidden", BadModelError, "check spec.model.access"),
        ("{url}/m/fraud.tar.gz", [503, 503], "ModelUnreachable", RetryableModelError, "answered 503"),
        ("http://127.0.0.1:9/m/fraud.tar.gz", [], "ModelUnreachable", RetryableModelError, "unreachable"),
        ("http://no-such-host.invalid/m", [], "ModelUnreachable", RetryableModelError, "unreachable"),
        ("file:///no/such/place", [], "ModelNotFound", BadModelError, "does not exist"),
        ("pvc://claim/nothing", [], "ModelNotFound", BadModelError, "does not exist"),
        ("pvc://../etc", [], "ArchiveRefused", BadModelError, "is refused"),
        ("pvc://claim/../../etc", [], "ArchiveRefused", BadModelError, "is refused"),
        ("{tree}/model.joblib", [], "NotAModel", BadModelError, "neither a directory nor"),
        ("relative/path", [], "Misconfigured", BadModelError, "is no model URI"),
        ("ftp://host/model", [], "Misconfigured", BadModelError, "use file:///path, pvc://"),
        ("s3://bucket", [], "Misconfigured", BadModelError, "s3://bucket/path"),
        ("s3://bucket/nothing", [], "ModelNotFound", BadModelError, "holds no objects"),
        ("s3://bucket/nothing.tar.gz", [], "ModelNotFound", BadModelError, "was not found"),
    ],
)
def test_what_cannot_be_fetched_is_named(
    uri: str,
    statuses: list[int],
    reason: str,
    kind: type[ModelError],
    words: str,
    tree: Path,
    root: Path,
    store: Store,
    s3: None,
    tmp_path: Path,
) -> None:
    publish(store, tree)
    (tmp_path / "volumes/claim").mkdir(parents=True)
    store.statuses["/m/fraud.tar.gz"] = statuses
    wanted = Wanted(uri.format(url=store.url, tree=tree), tree_digest(tree), volumes=tmp_path / "volumes")
    assert words in assert_refused(wanted, root, reason, kind).message


@pytest.mark.parametrize("uri", ["{tree}", "{url}/m/fraud", "{url}/m/fraud.tar.gz", "s3://bucket/fraud/v1"])
def test_another_model_than_the_pinned_one_is_refused(uri: str, tree: Path, root: Path, store: Store, s3: None) -> None:
    publish(store, tree)
    wanted = Wanted(uri.format(url=store.url, tree=tree), "sha256:" + "0" * 64)
    refusal = assert_refused(wanted, root, "DigestMismatch")
    assert tree_digest(tree) in refusal.message
    assert not list(root.iterdir())


def test_a_file_that_is_not_its_manifests_is_refused(tree: Path, root: Path, store: Store) -> None:
    publish(store, tree)
    store.files["/m/fraud/signature.json"] = b"{ }"
    wanted = Wanted(f"{store.url}/m/fraud", tree_digest(tree))
    assert "'signature.json'" in assert_refused(wanted, root, "DigestMismatch").message


@pytest.mark.parametrize("uri", ["{tree}", "{url}/m/fraud", "{url}/m/fraud.tar.gz", "s3://bucket/fraud/v1"])
@pytest.mark.parametrize("limits", [Limits(max_bytes=200_000), Limits(max_files=2)])
def test_a_model_that_is_too_large_is_refused(
    uri: str, limits: Limits, tree: Path, root: Path, store: Store, s3: None
) -> None:
    publish(store, tree)
    wanted = Wanted(uri.format(url=store.url, tree=tree), tree_digest(tree), limits)
    assert_refused(wanted, root, "ModelTooLarge")
    assert not list(root.iterdir())


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:{port}/m/x.zip?sig=secret", "ModelNotFound"),
        ("http://user:secret@127.0.0.1:{port}/m/x.zip", "Misconfigured"),
    ],
)
def test_secrets_in_a_url_are_not_told(uri: str, reason: str, root: Path, store: Store) -> None:
    wanted = Wanted(uri.format(port=store.port), "sha256:" + "0" * 64)
    assert "secret" not in assert_refused(wanted, root, reason).message


def test_credentials_do_not_follow_a_redirect_to_another_host(tree: Path, root: Path, store: Store) -> None:
    publish(store, tree)
    store.redirects["/m/moved.tar.gz"] = f"http://localhost:{store.port}/m/fraud.tar.gz"
    wanted = Wanted(f"{store.url}/m/moved.tar.gz", tree_digest(tree), access=WebAccess(authorization="Bearer token"))
    assert_only(root, fetch(wanted, root), wanted.digest)
    assert store.asked("/m/moved.tar.gz")[0]["authorization"] == "Bearer token"
    assert "authorization" not in store.asked("/m/fraud.tar.gz")[0]


def run(tmp_path: Path, **environment: str) -> tuple[int, dict[str, str]]:
    """The init container's process: its exit code and its termination message."""
    log = tmp_path / "termination-log"
    finished = subprocess.run(
        [sys.executable, "-m", "penstock_serving.fetch"],
        env=os.environ
        | {contract.ENV_TERMINATION_LOG: str(log), contract.ENV_MODEL_ROOT: str(tmp_path / "models"), **environment},
        check=False,
        capture_output=True,
        timeout=60,
    )
    return finished.returncode, json.loads(log.read_text()) if log.exists() else {}


def test_the_init_container_fetches(tree: Path, root: Path, tmp_path: Path) -> None:
    digest = tree_digest(tree)
    code, said = run(tmp_path, PENSTOCK_MODEL_URI=str(tree), PENSTOCK_MODEL_DIGEST=digest)
    assert (code, said["backend"]) == (0, "scikit-learn")
    assert_only(root, root / digest.replace(":", "-"), digest)


@pytest.mark.parametrize(
    ("environment", "code", "reason", "kind"),
    [
        ({}, 78, "Misconfigured", "BadInput"),
        ({"PENSTOCK_MODEL_URI": "file:///nothing"}, 78, "Misconfigured", "BadInput"),
        ({"PENSTOCK_MODEL_URI": "file:///x", "PENSTOCK_MODEL_DIGEST": "latest"}, 78, "DigestNotPinned", "BadInput"),
        (
            {"PENSTOCK_MODEL_URI": "file:///x", "PENSTOCK_MODEL_DIGEST": "sha256:" + "0" * 64},
            78,
            "ModelNotFound",
            "BadInput",
        ),
        (
            {
                "PENSTOCK_MODEL_URI": "http://127.0.0.1:9/x.zip",
                "PENSTOCK_MODEL_DIGEST": "sha256:" + "0" * 64,
            },
            75,
            "ModelUnreachable",
            "Retry",
        ),
    ],
)
def test_the_init_container_says_why_it_gave_up(
    environment: dict[str, str], code: int, reason: str, kind: str, root: Path, tmp_path: Path
) -> None:
    returned, said = run(tmp_path, **environment)
    assert (returned, said.get("reason"), said.get("kind")) == (code, reason, kind)
    assert said["message"]


def test_a_killed_fetch_leaves_no_half_model_and_the_next_one_finishes(
    tree: Path, root: Path, store: Store, wait: Callable[..., None]
) -> None:
    publish(store, tree)
    digest = tree_digest(tree)
    store.cut_after["/m/fraud/model.joblib"] = 100_000
    store.statuses["/m/fraud/signature.json"] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_serving.fetch"],
        env={
            contract.ENV_MODEL_ROOT: str(root),
            contract.ENV_MODEL_URI: f"{store.url}/m/fraud",
            contract.ENV_MODEL_DIGEST: digest,
        },
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    wait(lambda: store.asked("/m/fraud/model.joblib") or process.poll() is not None)
    process.kill()
    process.wait()
    assert not (root / digest.replace(":", "-")).exists() or tree_digest(root / digest.replace(":", "-")) == digest
    assert_only(root, fetch(Wanted(f"{store.url}/m/fraud", digest), root), digest)
