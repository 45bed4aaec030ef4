"""What the sandbox is given to prove a form again, as named bytes: files of the package, and what the deployer trusts."""

import json
from collections.abc import Sequence

from penstock_serving.model.files import GOLDEN_FILE, ONNX_FILE, SIGNATURE_FILE
from penstock_serving.model.verified import Verified
from penstock_serving.sandbox.parts import Parts

TRUSTED = "trusted"


def parts(files: Verified, estimator: str, trusted: Sequence[str]) -> Parts:
    """The compiled form, the estimator's file, signature and golden rows by their names; the trusted types of skops.

    Raises `BadModelError` where the package lacks one, or it was changed since it was verified.
    """
    names = (ONNX_FILE, estimator, SIGNATURE_FILE, GOLDEN_FILE)
    return {name: files.read(name) for name in names} | {TRUSTED: json.dumps(list(trusted)).encode()}
