"""Whose signature a model must bear: read from the deployer's environment alone, never from what is deployed."""

from dataclasses import dataclass

from penstock_serving import contract, settings
from penstock_serving.model.errors import BadModelError


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The elliptic-curve public key of who must have signed, as PEM text."""

    pem: str


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificate authorities, as PEM text: whoever they certify for signing code may have signed."""

    pem: str


Signer = PublicKey | Authorities


def from_environment() -> Signer | None:
    """What the environment asks for, None where nobody need have signed; raises `BadModelError` (Misconfigured)."""
    key = settings.text(contract.ENV_SIGNED_BY_PUBLIC_KEY, "")
    authorities = settings.text(contract.ENV_SIGNED_BY_AUTHORITIES, "")
    if key and authorities:
        raise BadModelError(
            contract.REASON_MISCONFIGURED,
            f"{contract.ENV_SIGNED_BY_PUBLIC_KEY} and {contract.ENV_SIGNED_BY_AUTHORITIES} are both set; unset one of them",
        )
    if key:
        return PublicKey(key)
    return Authorities(authorities) if authorities else None
