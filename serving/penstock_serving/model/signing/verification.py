"""The whole verification of a package's signature (OMS v1.0, section 8), by what the deployer trusts."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from penstock_serving.model.digest import Entry, open_regular
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signing import bundle, statement
from penstock_serving.model.signing.border import MOST_BYTES, OMS_FILE, refused
from penstock_serving.model.signing.bundle import Chain, KeyHint
from penstock_serving.model.signing.chain import signing_key
from penstock_serving.model.signing.contents import require_contents
from penstock_serving.model.signing.ecdsa import is_signed, loaded
from penstock_serving.model.signing.signer import Authorities, PublicKey, Signer


def require_signature(signer: Signer, tree: Path, entries: Iterable[Entry], now: datetime) -> None:
    """Return when the package in `tree` is, file by file, what `signer` signed in its `model.sig`.

    `entries` are the package's files, hashed; nothing may write to it meanwhile. `now` is when certificates must be valid.

    Raises `BadModelError`: SignatureRefused with what is wrong and what to do, Misconfigured where the signer is none.
    """
    found = bundle.parsed(_read(tree))
    match signer, found.maker:
        case PublicKey(), KeyHint():
            if not is_signed(found, loaded(signer)):
                raise _another_key(found.maker)
        case Authorities(), Chain():
            if not is_signed(found, signing_key(signer, found.maker.certificates, now)):
                raise refused("its signature is not of the certificate in it; sign the package again")
        case PublicKey(), Chain():
            raise refused(
                "it is signed with a certificate, but spec.model.signedBy has a publicKey; sign the package with the key, "
                "or name authorities instead"
            )
        case _:
            raise refused(
                "it is signed with a key, but spec.model.signedBy has authorities; sign the package with a certificate, "
                "or name the publicKey instead"
            )
    require_contents(statement.parsed(found.payload), tree, entries)


def _read(tree: Path) -> bytes:
    if not (tree / OMS_FILE).exists():
        raise refused(
            f"it is not in the package, but spec.model.signedBy asks for a signature; sign the package into {OMS_FILE} at "
            "its top, then pin its new digest"
        )
    with open_regular(tree / OMS_FILE) as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise refused(f"it is larger than {MOST_BYTES} bytes; sign fewer files")
    return content


def _another_key(maker: KeyHint) -> BadModelError:
    made = f" (it says by the key {maker.hint[:64]!a})" if maker.hint else ""
    return refused(
        f"it was not signed with the key that spec.model.signedBy.publicKey names{made}, or changed since; "
        "sign the package with that key, or name the other one"
    )
