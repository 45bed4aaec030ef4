"""Whoever the named authorities certify for signing code may sign, for as long as the certificate is valid."""

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing.signer import Authorities

from tests.serving_signing.making import (
    CERTIFIES,
    CODE,
    DIGITAL,
    FOR_CODE,
    KEY,
    NOW,
    Authority,
    Extensions,
    a_key,
    authority,
    by_certificates,
    public,
    sign,
    statement,
    usage,
    verify,
    whole_files,
    write,
)

ROOT = authority()
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
ANY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
DAY = timedelta(days=1)


def signed(root: Path, *chain: x509.Certificate, key: Any = KEY) -> Path:
    sign(write(root), statement(whole_files()), key, by_certificates(*chain))
    return root


def refusal(root: Path, signer: Authorities = ROOT.trusted) -> str:
    with pytest.raises(BadModelError) as error:
        verify(root, signer)
    assert error.value.reason == contract.REASON_SIGNATURE_REFUSED
    assert len(error.value.message) < 800
    return error.value.message


def between(subject: str = "between", extensions: Extensions = CERTIFIES, above: Authority = ROOT) -> Authority:
    key = a_key(ec.SECP384R1())
    return Authority(above.issue(subject, key, extensions), key)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_certificate_of_the_authority_may_sign(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = a_key(curve)
    verify(signed(tmp_path, ROOT.issue("signer", key), key=key), ROOT.trusted)


def test_so_may_one_further_down_whether_the_root_comes_along_or_not(tmp_path: Path) -> None:
    upper = between("upper")
    lower = between("lower", above=upper)
    leaf = lower.issue("signer", KEY)
    for chain in (
        (leaf, lower.certificate, upper.certificate),
        (leaf, lower.certificate, upper.certificate, ROOT.certificate),
        (leaf, upper.certificate, lower.certificate),
    ):
        verify(signed(tmp_path, *chain), ROOT.trusted)
    assert "does not lead to an authority" in refusal(signed(tmp_path, leaf, upper.certificate))


def test_an_authority_in_between_can_be_named_alone(tmp_path: Path) -> None:
    lower = between()
    verify(signed(tmp_path, lower.issue("signer", KEY), lower.certificate), lower.trusted)
    assert "does not lead to" in refusal(signed(tmp_path, ROOT.issue("signer", KEY)), lower.trusted)


def test_an_authority_with_an_rsa_key_is_one(tmp_path: Path) -> None:
    root = authority(key=rsa.generate_private_key(65537, 2048))
    verify(signed(tmp_path, root.issue("signer", KEY)), root.trusted)


def test_of_several_authorities_each_will_do(tmp_path: Path) -> None:
    other = authority("other")
    both = Authorities(other.trusted.pem + "\n" + ROOT.trusted.pem)
    for root in (ROOT, other):
        verify(signed(tmp_path, root.issue("signer", KEY)), both)


def test_another_authority_of_the_same_name_is_not_the_authority(tmp_path: Path) -> None:
    impostor = authority("root")
    leaf = impostor.issue("signer", KEY)
    assert "does not lead to an authority" in refusal(signed(tmp_path, leaf))
    assert "does not lead to an authority" in refusal(signed(tmp_path, leaf, impostor.certificate))


def test_a_certificate_that_certifies_itself_is_refused(tmp_path: Path) -> None:
    own = authority("signer", KEY, (*CERTIFIES[:1], *FOR_CODE))
    assert "does not lead to an authority" in refusal(signed(tmp_path, own.certificate))


@pytest.mark.parametrize(
    ("since", "until"),
    [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY), (NOW - 2 * DAY, NOW - timedelta(seconds=1))],
)
def test_a_certificate_is_good_while_it_is_valid(tmp_path: Path, since: Any, until: Any) -> None:
    leaf = ROOT.issue("signer", KEY, since=since, until=until)
    says = refusal(signed(tmp_path, leaf))
    assert "is valid from" in says
    assert f"to {until:%Y-%m-%d %H:%M} UTC" in says


def test_so_is_every_one_between(tmp_path: Path) -> None:
    key = a_key()
    old = Authority(ROOT.issue("between", key, CERTIFIES, NOW - 2 * DAY, NOW - DAY), key)
    assert "does not lead to" in refusal(signed(tmp_path, old.issue("signer", KEY), old.certificate))


def test_the_authority_itself_too(tmp_path: Path) -> None:
    sign(write(tmp_path), statement(whole_files()), KEY, by_certificates(ROOT.issue("s", KEY, until=NOW + 900 * DAY)))
    with pytest.raises(BadModelError, match="does not lead to an authority"):
        verify(tmp_path, ROOT.trusted, NOW + 100 * DAY)


@pytest.mark.parametrize(
    ("extensions", "says"),
    [
        (((DIGITAL, True), (SERVER, False)), "lacks codeSigning"),
        (((DIGITAL, True), (ANY, False)), "lacks codeSigning"),
        (((usage(key_encipherment=True), True), (CODE, False)), "lacks digitalSignature"),
        ((), "does not say what it is for"),
    ],
)
def test_a_certificate_for_something_else_is_refused(tmp_path: Path, extensions: Extensions, says: str) -> None:
    assert says in refusal(signed(tmp_path, ROOT.issue("signer", KEY, extensions)))


@pytest.mark.parametrize("extensions", [((DIGITAL, True),), ((CODE, False),), ((DIGITAL, False), (CODE, True))])
def test_a_certificate_need_not_say_everything(tmp_path: Path, extensions: Extensions) -> None:
    verify(signed(tmp_path, ROOT.issue("signer", KEY, extensions)), ROOT.trusted)


@pytest.mark.parametrize(
    "extensions",
    [
        FOR_CODE,
        ((x509.BasicConstraints(ca=False, path_length=None), True), *CERTIFIES[1:]),
        (*CERTIFIES[:1], (DIGITAL, True)),
        (),
    ],
)
def test_who_may_not_certify_certifies_nobody(tmp_path: Path, extensions: Extensions) -> None:
    signer = between(extensions=extensions)
    assert "does not lead to" in refusal(signed(tmp_path, signer.issue("other", KEY), signer.certificate))


def test_a_path_is_no_longer_than_its_certificates_allow(tmp_path: Path) -> None:
    last = between(extensions=((x509.BasicConstraints(ca=True, path_length=0), True), *CERTIFIES[1:]))
    beyond = between("beyond", above=last)
    verify(signed(tmp_path, last.issue("signer", KEY), last.certificate), ROOT.trusted)
    chain = (beyond.issue("signer", KEY), beyond.certificate, last.certificate)
    assert "does not lead to" in refusal(signed(tmp_path, *chain))


def test_names_that_an_authority_may_not_certify_are_refused(tmp_path: Path) -> None:
    only = x509.NameConstraints([x509.DNSName("example.org")], None)
    narrow = between(extensions=(*CERTIFIES, (only, True)))

    def named(host: str) -> x509.Certificate:
        return narrow.issue("signer", KEY, (*FOR_CODE, (x509.SubjectAlternativeName([x509.DNSName(host)]), False)))

    verify(signed(tmp_path, named("models.example.org"), narrow.certificate), ROOT.trusted)
    assert "does not lead to" in refusal(signed(tmp_path, named("example.com"), narrow.certificate))


@pytest.mark.parametrize("where", ["signer", "between"])
def test_a_critical_extension_that_nobody_knows_is_refused(tmp_path: Path, where: str) -> None:
    unknown: Extensions = ((x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True),)
    certifier = between(extensions=(*CERTIFIES, *(unknown if where == "between" else ())))
    leaf = certifier.issue("signer", KEY, (*FOR_CODE, *(unknown if where == "signer" else ())))
    assert "does not lead to" in refusal(signed(tmp_path, leaf, certifier.certificate))


def test_a_signature_of_another_key_than_the_certificates_is_refused(tmp_path: Path) -> None:
    assert "is not of the certificate in it" in refusal(signed(tmp_path, ROOT.issue("signer", a_key())))


def test_an_old_hash_under_a_certificate_is_refused(tmp_path: Path) -> None:
    root = authority()
    key = a_key()
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.certificate.subject)
        .public_key(KEY.public_key())
        .serial_number(5)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(DIGITAL, True)
        .sign(key, hashes.SHA224())
    )
    assert "does not lead to" in refusal(signed(tmp_path, leaf), root.trusted)


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), a_key(ec.SECP256K1())])
def test_a_certificate_of_another_kind_of_key_is_refused(tmp_path: Path, key: Any) -> None:
    sign(write(tmp_path), statement(whole_files()), KEY, by_certificates(ROOT.issue("signer", key)))
    refusal(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda der: b"",
        lambda der: der[:-1],
        lambda der: der + b"\x00",
        lambda der: b"\x30\x80" + der,
        lambda der: der[:40] + b"\xff" * 8 + der[48:],
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_certificate_that_cannot_be_read_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes], at: int) -> None:
    material = by_certificates(ROOT.issue("signer", KEY), ROOT.certificate)
    one = material["x509CertificateChain"]["certificates"][at]
    one["rawBytes"] = base64.b64encode(spoil(base64.b64decode(one["rawBytes"]))).decode()
    sign(write(tmp_path), statement(whole_files()), KEY, material)
    refusal(tmp_path)


def test_what_the_library_only_warns_of_is_refused(tmp_path: Path) -> None:
    """A serial number of zero, say."""
    der = ROOT.issue("signer", KEY).public_bytes(serialization.Encoding.DER)
    serial = der.index(b"\xa0\x03\x02\x01\x02\x02") + 6
    zeroed = der[: serial + 1] + bytes(der[serial]) + der[serial + 1 + der[serial] :]
    material = by_certificates(ROOT.certificate)
    material["x509CertificateChain"]["certificates"][0]["rawBytes"] = base64.b64encode(zeroed).decode()
    sign(write(tmp_path), statement(whole_files()), KEY, material)
    assert "its certificates cannot be read" in refusal(tmp_path)


def test_a_long_chain_is_refused_without_being_tried(tmp_path: Path) -> None:
    leaf = ROOT.issue("signer", KEY)
    assert "certificates is not a list of 1 to 8" in refusal(signed(tmp_path, leaf, *[ROOT.certificate] * 8))
    assert "certificates is not a list of 1 to 8" in refusal(signed(tmp_path))


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_authorities_that_cannot_be_read_are_the_deployers_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadModelError) as error:
        verify(signed(tmp_path, ROOT.issue("signer", KEY)), Authorities(text))
    assert error.value.reason == contract.REASON_MISCONFIGURED


def test_a_certificate_is_not_enough_where_a_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match=r"spec\.model\.signedBy has a publicKey"):
        verify(signed(tmp_path, ROOT.issue("signer", KEY)), public(KEY))
