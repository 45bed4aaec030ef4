"""What the API server's refusals mean for what is done next. The bodies are what a 1.34 server answers."""

import pytest
from penstock.api.reasons import Reason
from penstock.cluster.errors import ClusterError, Conflict, Refused, Retry, Wait, classify

TERMINATING = {
    "reason": "Forbidden",
    "message": 'services "fraud" is forbidden: unable to create new content in namespace risk because it is being '
    "terminated",
    "details": {"causes": [{"reason": "NamespaceTerminating", "message": "namespace risk is being terminated"}]},
}
RBAC = {
    "reason": "Forbidden",
    "message": 'services "fraud" is forbidden: User "system:serviceaccount:penstock-system:penstock-operator" cannot patch '
    'resource "services" in API group "" in the namespace "risk"',
}
QUOTA = {
    "reason": "Forbidden",
    "message": 'services "fraud" is forbidden: exceeded quota: few, requested: services=1, used: services=2, '
    "limited: services=2",
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"reason": "NotFound", "message": "gone"}, Conflict),
        (409, {"reason": "AlreadyExists", "message": "there"}, Conflict),
        (409, {"reason": "Conflict", "message": "the object has been modified"}, Conflict),
        (422, {"reason": "Invalid", "details": {"causes": [{"field": "metadata.uid"}]}}, Conflict),
        (410, {"reason": "Expired", "message": "The provided continue parameter is too old"}, Conflict),
        (429, {"reason": "TooManyRequests"}, Wait),
        (401, {"reason": "Unauthorized", "message": "Unauthorized"}, Retry),
        (500, {"reason": "InternalError"}, Retry),
        (503, {}, Retry),
        (504, {"reason": "Timeout"}, Retry),
    ],
)
def test_what_may_pass_is_tried_again(status: int, body: dict, kind: type[ClusterError]) -> None:
    assert type(classify("APPLY Service", status, body, None)) is kind


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, RBAC, Reason.FORBIDDEN),
        (403, QUOTA, Reason.QUOTA_EXCEEDED),
        (403, TERMINATING, Reason.NAMESPACE_TERMINATING),
        (409, {**TERMINATING, "reason": "Conflict"}, Reason.NAMESPACE_TERMINATING),
        (422, {"reason": "Invalid", "message": "spec.ports: Required value"}, Reason.INVALID_SPEC),
        (400, {"reason": "BadRequest", "message": "strict decoding error"}, Reason.INVALID_SPEC),
        (413, {}, Reason.INVALID_SPEC),
    ],
)
def test_what_repeating_does_not_cure_is_told_by_a_reason(status: int, body: dict, reason: Reason) -> None:
    error = classify("APPLY Service", status, body, None)
    assert isinstance(error, Refused)
    assert error.reason is reason


def test_a_missing_permission_is_told_without_the_accounts_long_name() -> None:
    told = str(classify("APPLY Service", 403, RBAC, None))
    assert "system:serviceaccount" not in told
    assert 'the operator cannot patch resource "services"' in told


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        ("3", {}, 3.0),
        (None, {"details": {"retryAfterSeconds": 7}}, 7.0),
        (None, {}, 1.0),
        ("soon", {}, 1.0),
        ("100000", {}, 120.0),
    ],
)
def test_the_wait_is_what_the_server_asks_for(header: str | None, body: dict, seconds: float) -> None:
    error = classify("GET Pod", 429, body, header)
    assert isinstance(error, Wait)
    assert error.seconds == seconds


def test_an_unavailable_server_that_names_a_time_is_waited_for() -> None:
    assert isinstance(classify("GET Pod", 503, {}, "1"), Wait)
