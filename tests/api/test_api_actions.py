"""Actions by annotation act once, on the revision they name."""

from datetime import UTC, datetime

import pytest
from penstock.api.actions import Action, Verb, actions_in
from penstock.api.names import revision_name, router_name


def test_the_value_names_the_revision() -> None:
    actions, problems = actions_in({"penstock.dev/abort": "fraud-0123456789", "other.example/abort": "x"})
    assert actions == (Action(Verb.ABORT, "fraud-0123456789"),)
    assert problems == ()


def test_a_retry_has_its_time() -> None:
    actions, _ = actions_in({"penstock.dev/retry": "fraud-0123456789@2026-01-31T12:00:00Z"})
    assert actions == (Action(Verb.RETRY, "fraud-0123456789", datetime(2026, 1, 31, 12, tzinfo=UTC)),)


@pytest.mark.parametrize(
    "action",
    [
        Action(Verb.PROMOTE, "a-1"),
        Action(Verb.ABORT, "a-1"),
        Action(Verb.RETRY, "a-1", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_written_is_read_back(action: Action) -> None:
    assert actions_in({action.verb.annotation: action.value}) == ((action,), ())


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({"penstock.dev/promote": ""}, "names no revision"),
        ({"penstock.dev/promote": "fraud-1@2026-01-31T12:00:00Z"}, "takes only a revision: remove @2026"),
        ({"penstock.dev/retry": "fraud-1"}, "needs a time with its zone"),
        ({"penstock.dev/retry": "fraud-1@soon"}, "needs a time with its zone"),
        ({"penstock.dev/retry": "fraud-1@2026-01-31T12:00:00"}, "needs a time with its zone"),
    ],
)
def test_a_value_that_says_too_little_is_named(annotation: dict[str, str], says: str) -> None:
    actions, (problem,) = actions_in(annotation)
    assert actions == ()
    assert problem.field == f"metadata.annotations[{next(iter(annotation))}]"
    assert says in problem.says


def test_names_made_from_a_deployment_are_dns_labels() -> None:
    assert revision_name("a" * 40, "0123456789abcdef") == "a" * 40 + "-0123456789"
    assert len(revision_name("a" * 40, "0123456789abcdef")) <= 63
    assert router_name("default") == "penstock-router-default"


def test_a_short_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 digits"):
        revision_name("fraud", "abc")
