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


class LastWords:
    """The container's termination log, opened while files can still be opened for writing.

    Where there is none (outside Kubernetes, or not writable) stderr alone is told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as unwritable:
            self._why = unwritable.strerror

    def leave(self, text: str) -> None:
        """Leave in the log what a container that has done its work says of it; nobody is told where there is no log."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, text.encode(), 0)

    def say(self, error: ModelError) -> int:
        """Say the error on stderr and in the log; return the exit code."""
        text = json.dumps({"reason": error.reason, "kind": error.kind, "message": error.message[:_MESSAGE_LIMIT]})
        os.write(2, text.encode() + b"\n")
        if self._handle is None:
            os.write(2, f"termination log {self._path} is not writable: {self._why}\n".encode())
        else:
            os.pwrite(self._handle, text.encode(), 0)
        return error.exit_code
