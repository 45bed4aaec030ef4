"""What is said of a model's own exceptions: a plain sentence to the caller, type and place to the log, values to none."""

import os
import time
import traceback

from penstock_serving.protocol.errors import ModelFailureError, ModelRefusalError, RequestError
from penstock_serving.protocol.rules import Rule

_EVERY_SECONDS = 1.0


def as_request_error(error: BaseException) -> RequestError:
    """What the caller is told of an exception on the predict thread: ours as it is, the model's as a plain failure."""
    if isinstance(error, RequestError):
        return error
    return ModelFailureError(f"the model failed ({type(error).__name__})")


def _fault(error: BaseException) -> BaseException | None:
    """The exception that the model's own code raised, if any."""
    if not isinstance(error, RequestError):
        return error
    refused = isinstance(error, ModelRefusalError) and error.rule is Rule.MODEL_REFUSED
    return error.__cause__ if refused else None


class FailureLog:
    """Says on stderr where and as what the model failed, at most once a second, and how often it was not said.

    An exception's message is left out: it may hold a caller's values.
    """

    def __init__(self) -> None:
        self._said = -_EVERY_SECONDS
        self._unsaid = 0

    def note(self, error: BaseException) -> None:
        """Note an exception of a prediction; those that are no fault of the model's code are not said."""
        fault = _fault(error)
        if fault is None:
            return
        now = time.monotonic()
        if now - self._said < _EVERY_SECONDS:
            self._unsaid += 1
            return
        frames = "".join(traceback.format_tb(fault.__traceback__))
        more = f" ({self._unsaid} more since the last one)" if self._unsaid else ""
        os.write(2, f"prediction failed: {type(fault).__name__}{more}\n{frames}".encode(errors="replace"))
        self._said, self._unsaid = now, 0
