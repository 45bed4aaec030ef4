"""The specification's published vectors, and a package signed by its reference implementation."""

import json
import shutil
from pathlib import Path

import pytest
from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing import bundle, statement
from penstock_serving.model.signing.signer import Authorities, PublicKey, Signer

from tests.serving_signing.making import verify, write

HERE = Path(__file__).parent
VECTORS, SIGNED = HERE / "vectors", HERE / "signed"
INVALID = sorted((*VECTORS.glob("invalid/*.json"), *VECTORS.glob("invalid-payload/*.json")))
KEY = PublicKey((VECTORS / "signing-key-pub.pem").read_text())
ROOT = Authorities((VECTORS / "ca-cert.pem").read_text())
OWN_KEY = PublicKey((SIGNED / "public.pem").read_text())
OWN_ROOT = Authorities((SIGNED / "authority.pem").read_text())
CONTENTS = {"signme-1": b"signme-1\n", "signme-2": b"signme-2"}
"""The files that the vectors are of; their digests are in them."""


def vector(root: Path, path: Path) -> Path:
    write(root, CONTENTS)
    shutil.copy(path, root / "model.sig")
    return root


def test_all_vectors_are_here() -> None:
    assert len(INVALID) == 5
    assert len(list(VECTORS.glob("valid/*.json"))) == 3


@pytest.mark.parametrize(("file", "signer"), [("key", KEY), ("certificate", ROOT)])
def test_a_valid_vector_is_accepted(tmp_path: Path, file: str, signer: Signer) -> None:
    verify(vector(tmp_path, VECTORS / "valid" / f"{file}.bundle.json"), signer)


@pytest.mark.parametrize("signer", [KEY, ROOT], ids=["key", "authorities"])
@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_vector_is_refused(tmp_path: Path, path: Path, signer: Signer) -> None:
    with pytest.raises(BadModelError) as refusal:
        verify(vector(tmp_path, path), signer)
    assert refusal.value.reason == contract.REASON_SIGNATURE_REFUSED


def test_the_wrong_predicate_is_the_only_thing_wrong_in_its_vector(tmp_path: Path) -> None:
    """Signed by nobody known, it is refused before it is read; so it is read here as if it were signed."""
    found = bundle.parsed((VECTORS / "invalid-payload" / "wrong-predicate.bundle.json").read_bytes())
    with pytest.raises(BadModelError, match="predicateType is not"):
        statement.parsed(found.payload)


@pytest.mark.parametrize("signer", [KEY, ROOT], ids=["key", "authorities"])
def test_an_identity_of_sigstore_is_not_offered_and_that_is_said(tmp_path: Path, signer: Signer) -> None:
    with pytest.raises(BadModelError, match="sign the package with a key or a certificate"):
        verify(vector(tmp_path, VECTORS / "valid" / "sigstore.bundle.json"), signer)


def signed_by_the_tool(root: Path, file: str) -> Path:
    shutil.copytree(SIGNED / "package", root, dirs_exist_ok=True)
    shutil.copy(SIGNED / file, root / "model.sig")
    return root


@pytest.mark.parametrize(
    ("file", "signer"),
    [("key.sig", OWN_KEY), ("certificate.sig", OWN_ROOT), ("shards.sig", OWN_KEY), ("blake2b.sig", OWN_KEY)],
)
def test_what_the_reference_implementation_signed_is_accepted(tmp_path: Path, file: str, signer: Signer) -> None:
    verify(signed_by_the_tool(tmp_path, file), signer)


@pytest.mark.parametrize(
    ("file", "signer"),
    [("key.sig", OWN_KEY), ("certificate.sig", OWN_ROOT), ("shards.sig", OWN_KEY), ("blake2b.sig", OWN_KEY)],
)
@pytest.mark.parametrize("path", sorted(path.name for path in (SIGNED / "package").iterdir()))
def test_and_no_byte_of_it_can_be_changed(tmp_path: Path, file: str, signer: Signer, path: str) -> None:
    changed = signed_by_the_tool(tmp_path, file) / path
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    with pytest.raises(BadModelError, match="is not what was signed") as refusal:
        verify(tmp_path, signer)
    assert path in refusal.value.message


def test_a_digest_that_is_not_known_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match="of blake3, which is not known here"):
        verify(signed_by_the_tool(tmp_path, "blake3.sig"), OWN_KEY)


def test_the_signers_are_not_interchangeable(tmp_path: Path) -> None:
    for file, signer in (
        ("key.sig", KEY),
        ("certificate.sig", ROOT),
        ("key.sig", OWN_ROOT),
        ("certificate.sig", OWN_KEY),
    ):
        with pytest.raises(BadModelError) as refusal:
            verify(signed_by_the_tool(tmp_path, file), signer)
        assert refusal.value.reason == contract.REASON_SIGNATURE_REFUSED


def test_the_key_may_sign_and_be_named_by_another_hint(tmp_path: Path) -> None:
    """The hint is for people: implementations compute it differently, and it is not signed."""
    root = signed_by_the_tool(tmp_path, "key.sig")
    document = json.loads((root / "model.sig").read_bytes())
    for identifier in ({"hint": "another"}, {"rawBytes": "AAAA", "keyDetails": "PKIX_ECDSA_P256_SHA_256"}):
        document["verificationMaterial"]["publicKey"] = identifier
        (root / "model.sig").write_text(json.dumps(document))
        verify(root, OWN_KEY)
