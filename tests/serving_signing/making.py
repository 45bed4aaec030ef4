"""Signatures made here by the specification, so that a test can break any one of its rules."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from penstock_serving.model.digest import tree_entries
from penstock_serving.model.signing.signer import Authorities, PublicKey, Signer
from penstock_serving.model.signing.verification import require_signature

NOW = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
FILES = {"model.joblib": b"a pickle", "serving.json": b"{}", "a/b": b"deep", "a.b": b"near", "empty": b""}
HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
Json = dict[str, Any]
Key = ec.EllipticCurvePrivateKey


def a_key(curve: ec.EllipticCurve | None = None) -> Key:
    return ec.generate_private_key(curve or ec.SECP256R1())


KEY = a_key()


def pem(key: Any) -> str:
    made = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made.decode()


def public(key: Any) -> PublicKey:
    return PublicKey(pem(key))


def write(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def resource(name: str, content: bytes, algorithm: str = "sha256") -> Json:
    return {"name": name, "digest": hashlib.new(algorithm, content).hexdigest(), "algorithm": algorithm}


def statement(resources: list[Json], **serialization: Any) -> Json:
    """The in-toto statement about these resources; `serialization` replaces what it says of how it was made."""
    root = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "fraud", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": resources,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False} | serialization,
        },
    }


def whole_files(files: Mapping[str, bytes] = FILES) -> list[Json]:
    return [resource(name, content) for name, content in sorted(files.items())]


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def signature(payload: bytes, key: Key) -> bytes:
    kind = b"application/vnd.in-toto+json"
    return key.sign(b"DSSEv1 28 %s %d %s" % (kind, len(payload), payload), ec.ECDSA(HASHES[key.curve.key_size]))


def by_key(key: Key) -> Json:
    return {"publicKey": {"hint": hashlib.sha256(pem(key).encode()).hexdigest()}, "tlogEntries": []}


def by_certificates(*chain: x509.Certificate) -> Json:
    encoded = [{"rawBytes": encode(each.public_bytes(serialization.Encoding.DER))} for each in chain]
    return {"x509CertificateChain": {"certificates": encoded}, "tlogEntries": []}


def bundle(payload: bytes, key: Key = KEY, material: Json | None = None) -> Json:
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": by_key(key) if material is None else material,
        "dsseEnvelope": {
            "payload": encode(payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": encode(signature(payload, key)), "keyid": ""}],
        },
    }


def sign(root: Path, said: Json, key: Key = KEY, material: Json | None = None) -> None:
    (root / "model.sig").write_text(json.dumps(bundle(json.dumps(said).encode(), key, material)))


def verify(root: Path, signer: Signer, now: datetime = NOW) -> None:
    require_signature(signer, root, tree_entries(root), now)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(**said: bool) -> x509.KeyUsage:
    kinds = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**dict.fromkeys(kinds, False) | said)


DIGITAL, CODE = usage(digital_signature=True), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
FOR_CODE: Extensions = ((DIGITAL, True), (CODE, False))


@dataclass(frozen=True)
class Authority:
    """A certificate with its key, which certifies others."""

    certificate: x509.Certificate
    key: Any

    @property
    def trusted(self) -> Authorities:
        return Authorities(self.certificate.public_bytes(serialization.Encoding.PEM).decode())

    def issue(
        self,
        subject: str,
        key: Any,
        extensions: Extensions = FOR_CODE,
        since: datetime = NOW - timedelta(days=1),
        until: datetime = NOW + timedelta(days=1),
    ) -> x509.Certificate:
        return issued(self.certificate.subject, self.key, subject, key, extensions, since, until)


def issued(
    issuer: x509.Name,
    issuer_key: Any,
    subject: str,
    key: Any,
    extensions: Extensions,
    since: datetime = NOW - timedelta(days=1),
    until: datetime = NOW + timedelta(days=1),
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


CERTIFIES: Extensions = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (usage(key_cert_sign=True), True),
)


def authority(subject: str = "root", key: Any = None, extensions: Extensions = CERTIFIES) -> Authority:
    key = key or a_key()
    return Authority(issued(name(subject), key, subject, key, extensions), key)
