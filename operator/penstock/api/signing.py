"""`spec.model.signedBy`: whose signature a model must bear."""

from typing import ClassVar, Self

from penstock.api.base import Part, Rule
from penstock.api.scalars import Scalar

_SPACE = r"[ \t\r\n]*"
_BASE64 = r"[A-Za-z0-9+/= \t\r\n]+"
_ELLIPTIC = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE",
    "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQ",
)
"""How an uncompressed key on P-256, P-384 or P-521 begins (RFC 5480): no other key is let in, and none needs parsing."""


class Pem(Scalar):
    """A PEM text. A refusal does not show it: it may be a private key."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises ValueError when the text has another form."""
        try:
            return super().__new__(cls, text)
        except ValueError:
            raise ValueError(f"the text does not fit: {cls.form}") from None


class PublicKey(Pem):
    """An elliptic-curve public key."""

    __slots__ = ()
    pattern = (
        rf"^{_SPACE}-----BEGIN PUBLIC KEY-----{_SPACE}({'|'.join(_ELLIPTIC)}){_BASE64}-----END PUBLIC KEY-----{_SPACE}$"
    )
    max_length = 1024
    form = (
        "publicKey is the PEM text of one public key on P-256, P-384 or P-521, as `openssl pkey -in key.pem -pubout` "
        "prints it; the private key stays with who signs"
    )


class Authorities(Pem):
    """Certificates of authorities."""

    __slots__ = ()
    pattern = rf"^{_SPACE}(-----BEGIN CERTIFICATE-----{_BASE64}-----END CERTIFICATE-----{_SPACE})+$"
    max_length = 16384
    form = (
        "authorities is the PEM text of one or more certificates and nothing else, as `openssl x509 -in ca.pem` prints "
        "each; the private keys stay with who signs"
    )


class SignedBy(Part):
    """Who must have signed a model. A model that they did not sign is not served."""

    atomic: ClassVar[bool] = True

    public_key: PublicKey | None = None
    """Public key of who signs, as PEM."""
    authorities: Authorities | None = None
    """Certificate authorities, as PEM. Whoever has a certificate of theirs for signing code may sign, as long as that
    certificate is valid."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="signed-by-key-or-authorities",
            cel="has(self.publicKey) != has(self.authorities)",
            message="signedBy needs exactly one of publicKey and authorities: write the key of who signs, or the "
            "authorities that certify who may",
            holds=lambda signed: (signed.public_key is None) != (signed.authorities is None),
        ),
    )
