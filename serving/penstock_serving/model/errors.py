"""Why a model cannot be fetched, loaded or served: reason, kind and next step.

Two kinds: `RetryableModelError` may pass by itself (a store that does not answer), `BadModelError` comes back the same
until a person changes the model or the manifest. Both become a container exit code and a termination message, which the
operator turns into a condition.
"""

import json
import os
from pathlib import Path

from penstock_serving import contract

_MESSAGE_LIMIT = 1024


class ModelError(Exception):
    """A model that cannot be served, with a machine-readable reason and a message that says what to do next."""

    kind: str
    exit_code: int

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RetryableModelError(ModelError):
    """The world may mend this: the same attempt can succeed later."""

    kind = contract.KIND_RETRY
    exit_code = contract.EXIT_RETRY


class BadModelError(ModelError):
    """The same attempt fails again until the model or the manifest is changed."""

    kind = contract.KIND_BAD_INPUT
    exit_code = contract.EXIT_BAD_INPUT


def report(error: ModelError, termination_log: Path) -> int:
    """Say the error on stderr and in the container's termination log; return the exit code.

    Where no termination log can be written (outside Kubernetes) stderr alone says it.
    """
    text = json.dumps({"reason": error.reason, "kind": error.kind, "message": error.message[:_MESSAGE_LIMIT]})
    os.write(2, text.encode() + b"\n")
    try:
        termination_log.write_text(text)
    except OSError as unwritable:
        os.write(2, f"termination log {termination_log} is not writable: {unwritable.strerror}\n".encode())
    return error.exit_code
