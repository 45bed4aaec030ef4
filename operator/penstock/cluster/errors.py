"""What can go wrong with the API server, by what is to be done about it.

ClusterError
├── Conflict   the world is not as it was read: read again, at once
├── Wait       the server asks for patience, or something is still on its way: later
├── Retry      unreachable or out of order: again, slower and slower
└── Refused    it will not have this, and repeating does not cure that: tell people
"""

import re
from collections.abc import Mapping
from typing import Any

from penstock.api.reasons import Reason


class ClusterError(Exception):
    """A request that did not do what it should; `str()` says which, and why."""


class Conflict(ClusterError):
    """The object is there already, gone already, or has changed since it was read."""


class Wait(ClusterError):
    """Try again, not before `seconds` have passed."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Retry(ClusterError):
    """Try again."""


class Refused(ClusterError):
    """Do not try again as it is; `reason` is what a condition says."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


_IDENTITY = "metadata.uid"
_LONGEST_WAIT = 120.0
_DEFAULT_WAIT = 1.0
_IN_ORDER_TO = re.compile(r'User "[^"]*" ')


def classify(request: str, status: int, body: Mapping[str, Any], retry_after: str | None) -> ClusterError:
    """The error that an answer stands for.

    Args:
        request: what was asked, for the message.
        status: HTTP status, 400 or above.
        body: the answer's `Status` object (meta/v1), or {} when it had none.
        retry_after: the header of that name.
    """
    says = str(body.get("message") or f"HTTP {status}")
    told = f"{request}: {says}"
    details = body.get("details") or {}
    causes = {cause.get("reason") for cause in details.get("causes") or ()}
    fields = {cause.get("field") for cause in details.get("causes") or ()}
    if status in (404, 409, 410) or (status == 422 and _IDENTITY in fields):
        # A write to what is gone, or to another object of that name: the next look finds out.
        return Refused(told, Reason.NAMESPACE_TERMINATING) if "NamespaceTerminating" in causes else Conflict(told)
    if status == 429 or (status == 503 and retry_after is not None):
        return Wait(told, _seconds(retry_after or details.get("retryAfterSeconds")))
    if status == 403:
        if "NamespaceTerminating" in causes:
            return Refused(told, Reason.NAMESPACE_TERMINATING)
        if "exceeded quota" in says or "failed quota" in says:
            return Refused(says, Reason.QUOTA_EXCEEDED)
        return Refused(_IN_ORDER_TO.sub("the operator ", says), Reason.FORBIDDEN)
    if status in (400, 405, 406, 413, 415, 422):
        return Refused(says, Reason.INVALID_SPEC)
    return Retry(told)


def _seconds(text: object) -> float:
    try:
        return min(_LONGEST_WAIT, max(0.0, float(str(text))))
    except ValueError:
        return _DEFAULT_WAIT
