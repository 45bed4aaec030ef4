"""`python -m penstock_serving.fetch`: the init container that brings a model and proves it."""

import os
import sys

from penstock_serving import contract, settings
from penstock_serving.model.archive import Limits
from penstock_serving.model.errors import ModelError, report
from penstock_serving.model.fetch import Wanted, fetch
from penstock_serving.model.sources.web import WebAccess

_MOST_BYTES = 1 << 44


def main() -> int:
    """Fetch the model that the environment names; return the container's exit code."""
    try:
        wanted = Wanted(
            uri=settings.text(contract.ENV_MODEL_URI),
            digest=settings.text(contract.ENV_MODEL_DIGEST),
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
        return report(error, settings.termination_log())
    print(f"model {wanted.digest} is at {directory}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
