"""What is signed is the whole package: nothing changed, nothing more, nothing less; and who signed is who was named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing.signer import Authorities, PublicKey

from tests.serving_signing.making import (
    FILES,
    KEY,
    a_key,
    bundle,
    encode,
    public,
    resource,
    sign,
    signature,
    statement,
    verify,
    whole_files,
    write,
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    sign(write(tmp_path), statement(whole_files()))
    return tmp_path


def refusal(root: Path, signer: Any = None) -> str:
    with pytest.raises(BadModelError) as error:
        verify(root, signer or public(KEY))
    assert error.value.reason == contract.REASON_SIGNATURE_REFUSED
    return error.value.message


def test_a_signed_package_is_accepted(package: Path) -> None:
    verify(package, public(KEY))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_every_curve_is_known(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = a_key(curve)
    sign(write(tmp_path), statement(whole_files()), key)
    verify(tmp_path, public(key))


def test_another_key_is_refused(package: Path) -> None:
    assert "was not signed with the key that spec.model.signedBy.publicKey names" in refusal(package, public(a_key()))


def test_a_missing_signature_is_refused_with_what_to_do(package: Path) -> None:
    (package / "model.sig").unlink()
    assert "sign the package into model.sig at its top, then pin its new digest" in refusal(package)


def changed(root: Path) -> None:
    (root / "model.joblib").write_bytes(b"b pickle")


def added(root: Path) -> None:
    (root / "explain.npz").write_bytes(b"more")


def added_deeper(root: Path) -> None:
    write(root, {"a/.git/config": b"more"})


def added_empty(root: Path) -> None:
    (root / "explain.npz").touch()


def renamed(root: Path) -> None:
    (root / "a.b").rename(root / "a.c")


def removed(root: Path) -> None:
    (root / "a/b").unlink()


def swapped(root: Path) -> None:
    (root / "a.b").write_bytes(FILES["a/b"])
    (root / "a/b").write_bytes(FILES["a.b"])


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (changed, "'model.joblib' is not what was signed"),
        (added, "'explain.npz' is in the package but not signed"),
        (added_deeper, "'a/.git/config' is in the package but not signed"),
        (added_empty, "'explain.npz' is in the package but not signed"),
        (renamed, "'a.c' is in the package but not signed"),
        (removed, "'a/b' is signed but not in the package"),
        (swapped, "is not what was signed"),
    ],
)
def test_any_change_of_the_files_is_refused_and_named(package: Path, attack: Callable[[Path], None], says: str) -> None:
    attack(package)
    assert says in refusal(package)


def test_a_link_is_refused_before_its_signature_is_looked_at(package: Path) -> None:
    (package / "a.b").unlink()
    (package / "a.b").symlink_to("a/b")
    with pytest.raises(BadModelError, match="is a symbolic link"):
        verify(package, public(KEY))


def test_what_git_keeps_is_not_signed_unless_it_is(package: Path) -> None:
    write(package, {".git/config": b"x", ".gitignore": b"x", ".gitattributes": b"x", ".github/workflows/a": b"x"})
    verify(package, public(KEY))
    sign(package, statement(whole_files({**FILES, ".gitignore": b"y"})))
    assert "'.gitignore' is not what was signed" in refusal(package)


def test_what_the_signer_left_out_is_refused_all_the_same(tmp_path: Path) -> None:
    files = {name: content for name, content in FILES.items() if name != "model.joblib"}
    sign(write(tmp_path), statement(whole_files(files), ignore_paths=["model.joblib", "model.sig"]))
    assert "'model.joblib' is in the package but not signed" in refusal(tmp_path)
    (tmp_path / "model.joblib").unlink()
    verify(tmp_path, public(KEY))


def test_links_that_were_followed_when_signing_are_files_here(tmp_path: Path) -> None:
    sign(write(tmp_path), statement(whole_files(), allow_symlinks=True))
    verify(tmp_path, public(KEY))


FULL = {name: content for name, content in FILES.items() if content}
"""Of empty files there are no pieces."""


def pieces(size: int) -> list[dict[str, Any]]:
    return [
        resource(f"{name}:{start}:{min(start + size, len(content))}", content[start : start + size])
        for name, content in sorted(FULL.items())
        for start in range(0, len(content), size)
    ]


@pytest.mark.parametrize("size", [1, 3, 4, 8, 1_000_000_000, 4.0])
def test_files_can_be_signed_in_pieces(tmp_path: Path, size: float) -> None:
    sign(write(tmp_path, FULL), statement(pieces(int(size)), method="shards", shard_size=size))
    verify(tmp_path, public(KEY))
    changed(tmp_path)
    assert "'model.joblib:0:" in refusal(tmp_path)


def test_an_empty_file_is_refused_where_pieces_are_signed_as_nothing_says_that_it_belongs_there(tmp_path: Path) -> None:
    sign(write(tmp_path, FULL), statement(pieces(4), method="shards", shard_size=4))
    added_empty(tmp_path)
    assert "'explain.npz' is empty, and signatures of shards say nothing of empty files" in refusal(tmp_path)


def test_pieces_are_of_the_length_that_is_signed(tmp_path: Path) -> None:
    sign(write(tmp_path, FULL), statement(pieces(3), method="shards", shard_size=4))
    assert "is in the package but not signed" in refusal(tmp_path)


def test_a_file_cannot_grow_beyond_its_signed_pieces(tmp_path: Path) -> None:
    sign(write(tmp_path, FULL), statement(pieces(4), method="shards", shard_size=4))
    (tmp_path / "model.joblib").write_bytes(FILES["model.joblib"] + b"more")
    assert "'model.joblib:8:12' is in the package but not signed" in refusal(tmp_path)
    (tmp_path / "model.joblib").write_bytes(FILES["model.joblib"][:4])
    assert "'model.joblib:4:8' is signed but not in the package" in refusal(tmp_path)


def test_many_missing_files_are_not_all_named(tmp_path: Path) -> None:
    sign(write(tmp_path), statement(whole_files({**FILES, **{f"x{at}" * 60: b"" for at in range(900)}})))
    says = refusal(tmp_path)
    assert "and 897 more is signed but not in the package" in says
    assert len(says) < 1000


def test_a_signature_of_something_else_is_refused(package: Path) -> None:
    """A signature by the right key, of a payload of its own: not of this one, whatever the file says."""
    document = json.loads((package / "model.sig").read_bytes())
    other = signature(json.dumps(statement(whole_files({"a": b""}))).encode(), KEY)
    document["dsseEnvelope"]["signatures"][0]["sig"] = encode(other)
    (package / "model.sig").write_text(json.dumps(document))
    assert "was not signed with the key" in refusal(package)


def test_a_signature_without_the_encoding_of_dsse_is_refused(package: Path) -> None:
    document = json.loads((package / "model.sig").read_bytes())
    payload = json.dumps(statement(whole_files())).encode()
    bare = KEY.sign(payload, ec.ECDSA(hashes.SHA256()))
    document["dsseEnvelope"]["signatures"][0]["sig"] = encode(bare)
    (package / "model.sig").write_text(json.dumps(document))
    assert "was not signed with the key" in refusal(package)


def test_the_hash_follows_from_the_key_and_from_nothing_in_the_file(package: Path) -> None:
    payload = json.dumps(statement(whole_files())).encode()
    document = bundle(payload)
    said = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    weaker = KEY.sign(said, ec.ECDSA(hashes.SHA1()))
    document["dsseEnvelope"]["signatures"][0]["sig"] = encode(weaker)
    (package / "model.sig").write_text(json.dumps(document))
    assert "was not signed with the key" in refusal(package)


RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    "key", [RSA, ed25519.Ed25519PrivateKey.generate(), a_key(ec.SECP256K1()), a_key(ec.SECP224R1())]
)
def test_only_the_three_curves_are_keys(package: Path, key: Any) -> None:
    with pytest.raises(BadModelError, match="no public key on P-256, P-384 or P-521") as error:
        verify(package, public(key))
    assert error.value.reason == contract.REASON_MISCONFIGURED


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_cannot_be_read_is_the_deployers_fault(package: Path, text: str) -> None:
    with pytest.raises(BadModelError) as error:
        verify(package, PublicKey(text))
    assert error.value.reason == contract.REASON_MISCONFIGURED


def test_a_key_is_not_enough_where_authorities_are_named(package: Path) -> None:
    assert "spec.model.signedBy has authorities" in refusal(package, Authorities("unread"))
