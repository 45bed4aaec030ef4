"""One signature over one payload: DSSE's encoding, by ECDSA with the hash that fits the curve.

The hash follows from the trusted key alone (OMS v1.0's algorithm registry, as `model-signing` has it); nothing in a
signature file chooses an algorithm.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing.bundle import PAYLOAD_TYPE, Bundle
from penstock_serving.model.signing.signer import PublicKey

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def usable(key: object) -> ec.EllipticCurvePublicKey | None:
    """The key if it is one that models are signed with: on P-256, P-384 or P-521."""
    return key if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES else None


def loaded(wanted: PublicKey) -> ec.EllipticCurvePublicKey:
    """The deployer's key; raises `BadModelError` (Misconfigured) where the text is none."""
    try:
        key = usable(load_pem_public_key(wanted.pem.encode()))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _misconfigured() from error
    if key is None:
        raise _misconfigured()
    return key


def _misconfigured() -> BadModelError:
    return BadModelError(
        contract.REASON_MISCONFIGURED,
        "spec.model.signedBy.publicKey is no public key on P-256, P-384 or P-521; write what "
        "`openssl pkey -in key.pem -pubout` prints",
    )


def is_signed(bundle: Bundle, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the bundle's payload was signed with the private half of this key, which is `usable`."""
    try:
        key.verify(bundle.signature, preauthenticated(bundle.payload), ec.ECDSA(_HASHES[key.curve.name]))
    except (InvalidSignature, ValueError):
        return False
    return True


def preauthenticated(payload: bytes) -> bytes:
    """What is signed of an in-toto payload (DSSE, "Signature Definition": PAE)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
