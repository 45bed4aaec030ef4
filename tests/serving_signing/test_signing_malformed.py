"""A signature file is written by nobody knows whom: whatever it holds, it is accepted only if it is right, or refused."""

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving import contract
from penstock_serving.model.digest import Entry, tree_entries
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing.border import MOST_BYTES
from penstock_serving.model.signing.signer import Signer
from penstock_serving.model.signing.verification import require_signature

from tests.serving_signing.making import (
    FILES,
    KEY,
    NOW,
    Json,
    authority,
    bundle,
    by_certificates,
    public,
    resource,
    sign,
    statement,
    verify,
    whole_files,
    write,
)

GOOD = statement(whole_files())
ROOT = authority()
BY_KEY = bundle(json.dumps(GOOD).encode())
BY_CERTIFICATE = bundle(
    json.dumps(GOOD).encode(), material=by_certificates(ROOT.issue("signer", KEY), ROOT.certificate)
)
SIGNERS: dict[str, tuple[Json, Signer]] = {
    "key": (BY_KEY, public(KEY)),
    "certificate": (BY_CERTIFICATE, ROOT.trusted),
}


def refusal(root: Path) -> str:
    with pytest.raises(BadModelError) as error:
        verify(root, public(KEY))
    assert error.value.reason == contract.REASON_SIGNATURE_REFUSED
    assert error.value.message.startswith("model.sig: ")
    assert len(error.value.message) < 1000
    return error.value.message


def put(document: Any, *path: Any, value: Any) -> Any:
    """A copy of a document with one value of it replaced, or removed where the value is `...`."""
    copied = json.loads(json.dumps(document))
    part = copied
    for step in path[:-1]:
        part = part[step]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return copied


ENVELOPE, MATERIAL = "dsseEnvelope", "verificationMaterial"
TWO = BY_KEY[ENVELOPE]["signatures"] * 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("mediaType",), ...),
        (("mediaType",), "application/vnd.dev.sigstore.bundle.v0.4+json"),
        (("mediaType",), "application/json"),
        (("mediaType",), None),
        ((MATERIAL,), ...),
        ((MATERIAL,), []),
        ((MATERIAL,), {}),
        ((MATERIAL, "publicKey"), {}),
        ((MATERIAL, "publicKey"), {"hint": 5}),
        ((MATERIAL, "publicKey"), {"hint": "", "rawBytes": None}),
        ((MATERIAL, "publicKey"), None),
        ((MATERIAL, "x509CertificateChain"), {"certificates": []}),
        ((MATERIAL, "tlogEntries"), None),
        ((MATERIAL, "tlogEntries"), [5]),
        ((MATERIAL, "timestampVerificationData"), 5),
        ((ENVELOPE,), ...),
        ((ENVELOPE,), None),
        ((ENVELOPE, "more"), 1),
        ((ENVELOPE, "payload"), ""),
        ((ENVELOPE, "payload"), "e30"),
        ((ENVELOPE, "payload"), "é" * 4),
        ((ENVELOPE, "payload"), BY_KEY[ENVELOPE]["payload"].replace("A", "A ", 1)),
        ((ENVELOPE, "payload"), 5),
        ((ENVELOPE, "payloadType"), "application/json"),
        ((ENVELOPE, "payloadType"), "application/vnd.in-toto+json "),
        ((ENVELOPE, "payloadType"), ...),
        ((ENVELOPE, "signatures"), []),
        ((ENVELOPE, "signatures"), TWO),
        ((ENVELOPE, "signatures"), None),
        ((ENVELOPE, "signatures", 0, "sig"), ""),
        ((ENVELOPE, "signatures", 0, "sig"), "AAAA"),
        ((ENVELOPE, "signatures", 0, "sig"), ...),
        ((ENVELOPE, "signatures", 0, "keyid"), 5),
        ((ENVELOPE, "signatures", 0, "more"), 5),
        (("messageSignature",), {}),
    ],
)
def test_a_bundle_that_is_none_is_refused(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    write(tmp_path)
    (tmp_path / "model.sig").write_text(json.dumps(put(BY_KEY, *path, value=value)))
    refusal(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("mediaType",), "application/vnd.dev.sigstore.bundle+json;version=0.2"),
        ((MATERIAL, "tlogEntries"), ...),
        ((MATERIAL, "timestampVerificationData"), {"rfc3161Timestamps": []}),
        ((MATERIAL, "publicKey"), {"rawBytes": "AAAA"}),
        ((ENVELOPE, "signatures", 0, "keyid"), ...),
        ((ENVELOPE, "signatures", 0, "keyid"), None),
    ],
)
def test_what_earlier_and_other_signers_write_is_read(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    write(tmp_path)
    (tmp_path / "model.sig").write_text(json.dumps(put(BY_KEY, *path, value=value)))
    verify(tmp_path, public(KEY))


def test_the_url_safe_alphabet_is_read(tmp_path: Path) -> None:
    payload = base64.urlsafe_b64encode(base64.b64decode(BY_KEY[ENVELOPE]["payload"])).decode()
    signature = BY_KEY[ENVELOPE]["signatures"][0]["sig"].translate(str.maketrans("+/", "-_"))
    document = put(put(BY_KEY, ENVELOPE, "payload", value=payload), ENVELOPE, "signatures", 0, "sig", value=signature)
    write(tmp_path)
    (tmp_path / "model.sig").write_text(json.dumps(document))
    verify(tmp_path, public(KEY))


SAID = ("predicate", "serialization")
FIRST = ("predicate", "resources", 0)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1", "_type is not"),
        (("predicateType",), "https://model_signing/Digests/v0.1", "predicateType is not"),
        (("predicateType",), "https://model_signing/signature/v1.1", "predicateType is not"),
        (("predicate",), ..., "what is signed is not"),
        (("more",), 1, "what is signed is not"),
        (("subject",), [], "subject is not"),
        (("subject",), GOOD["subject"] * 2, "subject is not"),
        (("subject", 0, "name"), "", "subject[0].name"),
        (("subject", 0, "digest"), {"sha512": "00"}, "subject[0].digest"),
        (("subject", 0, "digest", "sha256"), "0" * 64, "the digest over all resources"),
        (("predicate", "more"), 1, "predicate is not"),
        (("predicate", "resources"), [], "resources is not"),
        (("predicate", "resources"), {}, "resources is not a list"),
        (("predicate", "resources"), [5], "resources[0] is not"),
        (("predicate", "resources"), GOOD["predicate"]["resources"] * 2, "twice"),
        ((*FIRST, "name"), ..., "resources[0] is not"),
        ((*FIRST, "name"), 5, "resources[0].name is not text"),
        ((*FIRST, "digest"), "AB" * 32, "resources[0].digest"),
        ((*FIRST, "digest"), "ab" * 31, "resources[0].digest"),
        ((*FIRST, "digest"), None, "resources[0].digest"),
        ((*FIRST, "algorithm"), "sha512", "resources[0].algorithm"),
        ((*FIRST, "algorithm"), "blake2b", "resources[0].algorithm"),
        ((*FIRST, "algorithm"), ["sha256"], "resources[0].algorithm"),
        ((*FIRST, "algorithm"), "sha256-sharded-5", "resources[0].algorithm"),
        ((*SAID, "method"), "tree", "serialization is not"),
        ((*SAID, "method"), "shards", "serialization is not"),
        ((*SAID, "method"), None, "method is not text"),
        ((*SAID, "shard_size"), 5, "serialization is not"),
        ((*SAID, "hash_type"), "md5", "hash_type is not"),
        ((*SAID, "hash_type"), "blake3", "of blake3, which is not known here"),
        ((*SAID, "hash_type"), {}, "hash_type is not text"),
        ((*SAID, "allow_symlinks"), ..., "serialization is not"),
        ((*SAID, "allow_symlinks"), "false", "allow_symlinks is not"),
        ((*SAID, "ignore_paths"), "a", "ignore_paths is not"),
        ((*SAID, "ignore_paths"), [5], "ignore_paths is not text"),
        ((*SAID, "more"), 5, "serialization is not"),
    ],
)
def test_a_statement_that_is_none_is_refused_even_if_signed(
    tmp_path: Path, path: tuple[Any, ...], value: Any, says: str
) -> None:
    sign(write(tmp_path), put(GOOD, *path, value=value))
    assert says in refusal(tmp_path)


@pytest.mark.parametrize("size", [0, -1, True, None, "5", 2.5, 1e999, [5]])
def test_pieces_have_a_length(tmp_path: Path, size: Any) -> None:
    sign(write(tmp_path), statement(whole_files(), method="shards", shard_size=size))
    refusal(tmp_path)


def test_fields_that_a_resource_may_have_besides_are_not_looked_at(tmp_path: Path) -> None:
    more = {"uri": "https://example.org", "annotations": {"a": 1}}
    sign(write(tmp_path), statement([each | more for each in whole_files()]))
    verify(tmp_path, public(KEY))


@pytest.mark.parametrize(
    "name", ["/model.joblib", "../model.joblib", "./model.joblib", "a//b", "MODEL.joblib", "a\\b", "\ud800", "a/b/", ""]
)
def test_a_path_is_compared_as_it_is(tmp_path: Path, name: str) -> None:
    sign(write(tmp_path), statement([*whole_files(), resource(name, b"a pickle")]))
    assert "is signed but not in the package" in refusal(tmp_path)


DEEP = 100_000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"5",
        b"[]",
        b"\xff\xfe",
        json.dumps(BY_KEY).encode("utf-16"),
        json.dumps(BY_KEY).encode("utf-8-sig"),
        json.dumps(BY_KEY).encode() + b"{}",
        json.dumps(BY_KEY).encode()[:-1],
        json.dumps(BY_KEY).replace('"mediaType"', '"mediaType": "x", "mediaType"', 1).encode(),
        json.dumps(BY_KEY).replace('"payloadType"', '"payloadType": "x", "payloadType"', 1).encode(),
        json.dumps(BY_KEY).replace('"hint"', '"hint": NaN, "rawBytes"', 1).encode(),
        json.dumps(put(BY_KEY, "mediaType", value="N")).replace('"N"', "1" * 10_000).encode(),
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b" " * (MOST_BYTES + 1),
        json.dumps(BY_KEY).encode() + b" " * MOST_BYTES,
    ],
    ids=range(17),
)
def test_text_that_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / "model.sig").write_bytes(content)
    refusal(tmp_path)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00",
        b"[" * DEEP,
        json.dumps(GOOD).replace('"resources"', '"resources": [], "resources"', 1).encode(),
        json.dumps(GOOD).replace('"_type"', '"_type": "x", "_type"', 1).encode(),
        json.dumps(GOOD).encode("utf-16"),
    ],
    ids=range(5),
)
def test_a_payload_that_is_no_statement_is_refused_even_if_signed(tmp_path: Path, payload: bytes) -> None:
    write(tmp_path)
    (tmp_path / "model.sig").write_text(json.dumps(bundle(payload)))
    refusal(tmp_path)


def test_something_else_in_the_signatures_place_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "model.sig").mkdir()
    with pytest.raises(BadModelError):
        verify(tmp_path, public(KEY))


def test_ten_thousand_files_fit(tmp_path: Path) -> None:
    files = {f"parts/part-{at:05}.parquet": b"" for at in range(9_999)}
    said = statement([resource(name, b"") for name in files])
    (tmp_path / "model.sig").write_text(json.dumps(bundle(json.dumps(said, indent=2).encode())))
    empty = resource("", b"")["digest"]
    require_signature(public(KEY), tmp_path, [Entry(empty, 0, name) for name in files], NOW)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for step, below in steps:
        yield (*path, step)
        yield from places(below, (*path, step))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "AAAA", "e30="]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def package() -> Iterator[tuple[Path, Callable[[], list[Entry]]]]:
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder))
        entries = tree_entries(root)
        yield root, lambda: [*entries]


def judged(root: Path, entries: list[Entry], signer: Signer, content: bytes) -> bool:
    """Whether it is accepted; anything but a refusal of ours is raised."""
    (root / "model.sig").write_bytes(content)
    try:
        require_signature(signer, root, entries, NOW)
    except BadModelError as error:
        why = error
    else:
        return True
    assert why.reason == contract.REASON_SIGNATURE_REFUSED
    assert why.message.isprintable()
    return False


@pytest.mark.parametrize("way", SIGNERS)
@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_bundle_is_refused_or_says_the_same(package: Any, way: str, data: st.DataObject) -> None:
    """Whatever is put anywhere into the bundle: accepted is only what still has the same payload and a signature of it."""
    root, entries = package
    document, signer = SIGNERS[way]
    changed = document
    for _ in range(data.draw(st.integers(1, 3))):
        every = list(places(changed))
        if every:
            changed = put(changed, *data.draw(st.sampled_from(every)), value=data.draw(JSON | st.just(...)))
    if judged(root, entries(), signer, json.dumps(changed).encode()):
        assert base64.b64decode(changed[ENVELOPE]["payload"]) == json.dumps(GOOD).encode()


@pytest.mark.parametrize("way", SIGNERS)
@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_bytes_of_the_file_are_refused_or_say_the_same(package: Any, way: str, data: st.DataObject) -> None:
    root, entries = package
    document, signer = SIGNERS[way]
    content = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    if judged(root, entries(), signer, bytes(content)):
        read = json.loads(content)[ENVELOPE]
        assert base64.b64decode(read["payload"].translate(str.maketrans("-_", "+/"))) == json.dumps(GOOD).encode()


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_change_of_what_a_certificate_says_is_refused(package: Any, data: st.DataObject) -> None:
    root, entries = package
    at = data.draw(st.integers(0, 1))
    place = (MATERIAL, "x509CertificateChain", "certificates", at, "rawBytes")
    original = base64.b64decode(BY_CERTIFICATE[MATERIAL]["x509CertificateChain"]["certificates"][at]["rawBytes"])
    der = bytearray(original)
    where = data.draw(st.integers(0, len(der) - 1))
    der[where] ^= data.draw(st.integers(1, 255))
    changed = put(BY_CERTIFICATE, *place, value=base64.b64encode(der).decode())
    accepted = judged(root, entries(), ROOT.trusted, json.dumps(changed).encode())
    if accepted and at == 0:  # the root that comes along is not needed: the deployer's own is trusted
        said, signed = (x509.load_der_x509_certificate(bytes(each)).tbs_certificate_bytes for each in (der, original))
        assert said == signed


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_statement_that_is_signed_is_refused_or_means_the_same(package: Any, data: st.DataObject) -> None:
    """The signer errs: what is accepted still has the digest of every file that is here."""
    root, entries = package
    changed = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        every = list(places(changed))
        if every:
            changed = put(changed, *data.draw(st.sampled_from(every)), value=data.draw(JSON | st.just(...)))
    payload = json.dumps(changed).encode()
    if judged(root, entries(), public(KEY), json.dumps(bundle(payload)).encode()):
        said = {each["name"]: each["digest"] for each in changed["predicate"]["resources"]}
        assert said == {name: resource(name, content)["digest"] for name, content in FILES.items()}
