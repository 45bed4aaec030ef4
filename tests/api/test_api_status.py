"""The status stays small and writes what the API server takes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.api.actions import Verb
from penstock.api.base import clip
from penstock.api.conditions import Condition, ConditionStatus, ConditionType
from penstock.api.guardrail import Metric
from penstock.api.reasons import Reason
from penstock.api.references import Label
from penstock.api.served import Backend
from penstock.api.status import (
    MAX_STATUS_BYTES,
    ActionResult,
    ArmCounts,
    CandidateStatus,
    EvidenceRow,
    HistoryRow,
    LastAction,
    ModelDeploymentStatus,
    Outcome,
    StableStatus,
)

NOW = datetime(2026, 11, 24, 6, 0, 0, 250_000, tzinfo=UTC)
LONG = "wörtlich ‽ " * 1000


def condition(kind: ConditionType) -> Condition:
    return Condition(
        type=kind,
        status=ConditionStatus.UNKNOWN,
        observed_generation=2**53,
        last_transition_time=NOW,
        reason=max(Reason, key=len),
        message=LONG,
    )


def test_the_fullest_status_stays_within_its_bound() -> None:
    most = ArmCounts(requests=2**53, events=2**53)
    number = "-" + "9" * 23
    row = {
        "metric": Metric.LATENCY,
        "stable": most,
        "candidate": most,
        "log_evalue": number,
        "threshold": number,
        "log_evalue_promotion": number,
        "threshold_promotion": number,
        "to_promotion": 2**53,
    }
    status = ModelDeploymentStatus(
        message=LONG,
        url="h" * 256,
        selector="s" * 256,
        conditions=tuple(condition(kind) for kind in ConditionType),
        stable=StableStatus(revision="r" * 63, backend=Backend.SCIKIT_LEARN, fallback_reason=LONG),
        candidate=CandidateStatus(
            revision="r" * 63, backend=Backend.SCIKIT_LEARN, fallback_reason=LONG, weight=100, step=2**53, since=NOW
        ),
        evidence=tuple(EvidenceRow(name=Label(f"{'g' * 38}-{index}"), says=LONG, **row) for index in range(10)),
        history=(
            HistoryRow(
                revision="r" * 63,
                outcome=Outcome.DEADLINE_EXCEEDED,
                reason=max(Reason, key=len),
                started_at=NOW,
                ended_at=NOW,
            ),
        )
        * 20,
        last_action=LastAction(verb=Verb.PROMOTE, value="r" * 128, result=ActionResult.IGNORED, at=NOW, message=LONG),
    )
    assert len(json.dumps(status.model_dump(mode="json"), ensure_ascii=False).encode()) <= MAX_STATUS_BYTES


@given(st.text(), st.integers(8, 64))
def test_a_clipped_sentence_fits_and_begins_as_the_whole_one(text: str, limit: int) -> None:
    clipped = clip(text, limit)
    assert len(clipped.encode()) <= limit
    assert clipped == text or text.startswith(clipped.removesuffix("…"))


def test_times_are_written_in_whole_seconds_of_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    written = condition(ConditionType.READY).model_copy(update={"last_transition_time": there}).model_dump(mode="json")
    assert written["lastTransitionTime"] == "2026-11-24T06:00:00Z"


def test_a_condition_occurs_once() -> None:
    ready = condition(ConditionType.READY)
    with pytest.raises(ValueError, match="the type Ready occurs twice"):
        ModelDeploymentStatus(conditions=(ready, ready))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_to_do(reason: Reason) -> None:
    assert reason.value[0].isupper()
    assert reason.value.isalpha()
    assert reason.advice.endswith(".")
    assert len(reason.advice) > 20
