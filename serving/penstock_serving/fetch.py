"""`python -m penstock_serving.fetch`: the init container that brings a model, proves it and tells what will serve it."""

import os
import sys
from pathlib import Path

from penstock_serving import contract, settings
from penstock_serving.compile.result import Proof
from penstock_serving.model import trust
from penstock_serving.model.announcement import announcement
from penstock_serving.model.archive import Limits
from penstock_serving.model.choice import Choice, choose, outdated, recorded
from penstock_serving.model.errors import LastWords, ModelError
from penstock_serving.model.fetch import Wanted, fetch
from penstock_serving.model.serving import Serving
from penstock_serving.model.signing import signer
from penstock_serving.model.sources.web import WebAccess
from penstock_serving.model.verified import Verified, verified
from penstock_serving.server.quota import read_quota

_MOST_BYTES = 1 << 44
_MOST_SECONDS = 3600.0


def main() -> int:
    """Fetch the model that the environment names; return the container's exit code."""
    last_words = LastWords(settings.termination_log())
    try:
        wanted = Wanted(
            uri=settings.text(contract.ENV_MODEL_URI),
            digest=settings.text(contract.ENV_MODEL_DIGEST),
            signer=signer.from_environment(),
            limits=Limits(
                max_bytes=settings.integer(contract.ENV_MODEL_MAX_BYTES, Limits().max_bytes, 1, _MOST_BYTES),
            ),
            access=WebAccess(
                authorization=os.environ.get(contract.ENV_HTTP_AUTHORIZATION, ""),
                ca_file=os.environ.get(contract.ENV_CA_FILE, ""),
            ),
            volumes=settings.path(contract.ENV_VOLUME_ROOT, contract.VOLUME_ROOT),
        )
        directory = fetch(wanted, settings.path(contract.ENV_MODEL_ROOT, contract.MODEL_ROOT))
    except ModelError as error:
        return last_words.say(error)
    print(f"model {wanted.digest} is at {directory}", flush=True)
    try:
        said = announcement(_judged(directory, wanted.digest))
    except ModelError as error:
        # not this container's to refuse: the server does, by the same code and in the same words
        print(f"it cannot be told what will serve it: {error.message}", flush=True)
        return 0
    print(f"it will be served as {said}", flush=True)
    last_words.leave(said)
    return 0


def _judged(directory: Path, digest: str) -> Choice:
    with verified(directory, digest) as files:
        serving = recorded(files)
        proof = outdated(files, serving)
        if proof is not None:
            _renewed(files, serving, proof)
        return choose(files, serving)


def _renewed(files: Verified, serving: Serving, proof: Proof) -> None:
    from penstock_serving.renewal.renewing import SECONDS, Allowance, Outdated, renew  # paid for only where it is used

    seconds = settings.seconds(contract.ENV_PROOF_SECONDS, SECONDS, _MOST_SECONDS)
    allowance = Allowance(seconds, read_quota().memory)
    try:
        renew(Outdated(files, serving, proof), trust.from_environment(), allowance, _tell)
    except OSError as error:
        _tell(f"the compiled form cannot be proved again here: {error.strerror}")


def _tell(text: str) -> None:
    """One printable line."""
    print(ascii(text)[1:-1], flush=True)


if __name__ == "__main__":
    sys.exit(main())
