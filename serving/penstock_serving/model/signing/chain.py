"""From trusted authorities to the key of a certificate that may sign code (OMS v1.0, section 8.2; RFC 5280, section 6)."""

import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing.border import refused
from penstock_serving.model.signing.ecdsa import usable
from penstock_serving.model.signing.signer import Authorities

_MOST_SAID = 200
_Loaded = TypeVar("_Loaded")
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    CryptographyDeprecationWarning,
)


def signing_key(wanted: Authorities, chain: Sequence[bytes], now: datetime) -> ec.EllipticCurvePublicKey:
    """The key of the first certificate (DER), when the others lead from it to an authority and all are valid `now`.

    Revocation is not looked at: that needs servers outside.

    Raises `BadModelError`: SignatureRefused with what is wrong, Misconfigured where the authorities are none.
    """
    store = _store(wanted)
    try:
        leaf, *between = (_strictly(x509.load_der_x509_certificate, each) for each in chain)
        _require_valid(leaf, now)
        verifier = (
            PolicyBuilder()
            .store(store)
            .time(now)
            .extension_policies(ca_policy=_authority(), ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        verifier.verify(leaf, between)
        _require_purpose(leaf.extensions)
        key = usable(leaf.public_key())
    except VerificationError as error:
        raise refused(
            "its certificate does not lead to an authority that spec.model.signedBy.authorities names; name its authority, "
            f"or sign with a certificate of theirs ({_shown(error)})"
        ) from error
    except _UNREADABLE as error:
        raise refused(f"its certificates cannot be read; sign with others ({_shown(error)})") from error
    if key is None:
        raise refused("its certificate has no key on P-256, P-384 or P-521; sign with one that has")
    return key


def _store(wanted: Authorities) -> Store:
    try:
        return Store(_strictly(x509.load_pem_x509_certificates, wanted.pem.encode()))
    except _UNREADABLE as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED,
            "spec.model.signedBy.authorities is no list of certificates; write what `openssl x509 -in ca.pem` prints, one "
            f"after the other ({_shown(error)})",
        ) from error


def _strictly(load: Callable[[bytes], _Loaded], content: bytes) -> _Loaded:
    """What RFC 5280 forbids and the library only warns of, until it does not any more, is an error here already."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        return load(content)


def _require_valid(leaf: x509.Certificate, now: datetime) -> None:
    """Said apart from the chain, because it comes by itself and has a remedy of its own."""
    since, until = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not since <= now <= until:
        raise refused(
            f"its certificate is valid from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC, and now is "
            f"{now:%Y-%m-%d %H:%M}; sign the package again with a valid one"
        )


def _require_purpose(extensions: x509.Extensions) -> None:
    """A certificate for signing code (RFC 5280, 4.2.1.3 and 4.2.1.12): not one for a server's TLS by the same authority."""
    usage, purpose = _found(extensions, x509.KeyUsage), _found(extensions, x509.ExtendedKeyUsage)
    if usage is not None and not usage.digital_signature:
        raise refused("its certificate's key usage lacks digitalSignature; sign with one for signing code")
    if purpose is not None and ExtendedKeyUsageOID.CODE_SIGNING not in purpose:
        raise refused("its certificate's extended key usage lacks codeSigning; sign with one for signing code")
    if usage is None and purpose is None:
        raise refused("its certificate does not say what it is for; sign with one for signing code")


def _found(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _shown(error: Exception) -> str:
    """What the library says, which may quote the certificates at any length."""
    return ascii(str(error)[:_MOST_SAID])[1:-1]


def _authority() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _may_certify)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    )


def _may_certify(_: Policy, __: x509.Certificate, found: x509.BasicConstraints) -> None:
    if not found.ca:
        raise ValueError("a certificate between it and the authority may not certify others")


def _signs_certificates(_: Policy, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
    if found is not None and not found.key_cert_sign:
        raise ValueError("a certificate between it and the authority may not sign certificates")
