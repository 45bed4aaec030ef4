"""A signature file: a Sigstore bundle around a DSSE envelope (OMS v1.0, sections 4 and 8.1).

What the bundle says of itself is read to explain a refusal, never to decide what is trusted: that is the deployer's.
"""

import re
from dataclasses import dataclass
from typing import Any

from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing.border import BORDER, decoded, document, holding, refused

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MEDIA_TYPE = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v0\.3\+json|\+json;version=0\.[123])")
_METHODS = ("publicKey", "x509CertificateChain", "certificate")
_MOST_CERTIFICATES = 8


@dataclass(frozen=True, slots=True)
class KeyHint:
    """The bundle says that a key made it; `hint` is that key's fingerprint as its signer computes it, empty if not told."""

    hint: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The bundle says that a certificate made it: DER of that certificate, then of those that lead to an authority."""

    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was signed, its one signature (ECDSA, DER), and by what it says it was made."""

    payload: bytes
    signature: bytes
    maker: KeyHint | Chain


def parsed(content: bytes) -> Bundle:
    """Read a signature file; raises `BadModelError` (SignatureRefused) for anything that the bundle's schema refuses."""
    root = BORDER.fields(
        document(content, "the content"), "the content", {"mediaType", "verificationMaterial", "dsseEnvelope"}
    )
    if not _MEDIA_TYPE.fullmatch(BORDER.text(root["mediaType"], "mediaType")):
        raise BORDER.bad("mediaType", "that of a Sigstore bundle up to version 0.3")
    maker = _maker(holding(root["verificationMaterial"], "verificationMaterial", set()))
    envelope = BORDER.fields(root["dsseEnvelope"], "dsseEnvelope", {"payload", "payloadType", "signatures"})
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise BORDER.bad("payloadType", repr(PAYLOAD_TYPE))
    return Bundle(
        payload=decoded(envelope["payload"], "payload"), signature=_signature(envelope["signatures"]), maker=maker
    )


def _signature(value: object) -> bytes:
    signatures = BORDER.items(value, "signatures")
    if len(signatures) != 1:
        raise BORDER.bad("signatures", "a list of exactly one, which is what a Sigstore bundle has")
    fields = BORDER.fields(signatures[0], "signatures[0]", {"sig"}, frozenset({"keyid"}))
    if fields.get("keyid") is not None:
        BORDER.text(fields["keyid"], "keyid")
    return decoded(fields["sig"], "sig")


def _maker(material: dict[str, Any]) -> KeyHint | Chain:
    for entry in BORDER.items(material.get("tlogEntries", []), "tlogEntries"):
        holding(entry, "an entry of tlogEntries", set())
    holding(material.get("timestampVerificationData", {}), "timestampVerificationData", set())
    match [method for method in _METHODS if method in material]:
        case ["publicKey"]:
            return _hint(holding(material["publicKey"], "publicKey", set()))
        case ["x509CertificateChain"]:
            return _chain(holding(material["x509CertificateChain"], "x509CertificateChain", {"certificates"}))
        case ["certificate"]:
            raise _keyless()
        case _:
            raise BORDER.bad("verificationMaterial", f"an object with exactly one of {', '.join(_METHODS)}")


def _hint(fields: dict[str, Any]) -> KeyHint:
    if "hint" not in fields and "rawBytes" not in fields:
        raise BORDER.bad("publicKey", "an object with hint")
    if "rawBytes" in fields:
        BORDER.text(fields["rawBytes"], "rawBytes")
    return KeyHint(BORDER.text(fields.get("hint", ""), "hint"))


def _chain(fields: dict[str, Any]) -> Chain:
    certificates = BORDER.items(fields["certificates"], "certificates")
    if not 1 <= len(certificates) <= _MOST_CERTIFICATES:
        raise BORDER.bad("certificates", f"a list of 1 to {_MOST_CERTIFICATES}")
    return Chain(
        tuple(decoded(holding(each, "a certificate", {"rawBytes"})["rawBytes"], "rawBytes") for each in certificates)
    )


def _keyless() -> BadModelError:
    return refused(
        "it is signed by an identity (Sigstore's keyless way), which cannot be verified without asking servers outside; "
        "sign the package with a key or a certificate"
    )
