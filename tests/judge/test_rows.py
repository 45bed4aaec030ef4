"""Rows are taken whole or refused with a named fault."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.criteria import Arm, Criteria, Guardrail
from penstock.judge.rows import MISSING, Fault, Refused, parse

CRITERIA = Criteria((Guardrail("failed", "failed"), Guardrail("refused", "refused"), Guardrail("p99", "slow")))
ROW: dict[str, Any] = {
    "release": "r1",
    "t": 12.0,
    "router": "a",
    "version": 3,
    "arm": "candidate",
    "weight": 5,
    "requests": 950,
    "failed": 3,
    "refused": 0,
    "slow": {"p99": 12},
}


def test_a_full_row_is_read() -> None:
    row = parse(ROW, CRITERIA)
    assert (row.t, row.router, row.version, row.arm, row.weight) == (12.0, "a", "3", Arm.CANDIDATE, 0.05)
    assert (row.requests, row.events) == (950, (3, 0, 12))


def test_only_time_arm_and_requests_are_needed_and_what_is_absent_is_missing_not_zero() -> None:
    row = parse({"t": 1, "arm": "stable", "requests": 10}, CRITERIA)
    assert row.events == (MISSING, MISSING, MISSING)
    assert (row.router, row.weight, row.users, row.pod, row.outage) == ("", None, None, "", "")
    assert parse({"t": 1, "arm": "stable", "requests": 0}, CRITERIA).events == (0, 0, 0)
    assert parse({**ROW, "router": None, "weight": None}, CRITERIA).weight is None


def test_whole_floats_are_counts_and_named_versions_are_versions() -> None:
    row = parse({**ROW, "requests": 950.0, "version": "config-7"}, CRITERIA)
    assert (row.requests, row.version) == (950, "config-7")


def test_users_are_read() -> None:
    row = parse({**ROW, "users": {"new": 7, "failed": 1, "refused": 0, "slow": {"p99": 2}}}, CRITERIA)
    assert row.users is not None
    assert (row.users.new, row.users.events) == (7, (1, 0, 2))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"arm": "canary"}, Fault.MALFORMED),
        ({"arm": None}, Fault.MALFORMED),
        ({"t": None}, Fault.MISSING_COUNT),
        ({"t": "12"}, Fault.MALFORMED),
        ({"t": True}, Fault.MALFORMED),
        ({"t": float("nan")}, Fault.NOT_A_NUMBER),
        ({"t": float("inf")}, Fault.NOT_A_NUMBER),
        ({"t": -1}, Fault.NEGATIVE),
        ({"t": 1e15}, Fault.ABSURD),
        ({"t": 10**400}, Fault.ABSURD),
        ({"weight": -1}, Fault.NEGATIVE),
        ({"weight": 101}, Fault.ABSURD),
        ({"requests": None}, Fault.MISSING_COUNT),
        ({"requests": -1}, Fault.NEGATIVE),
        ({"requests": -0.5}, Fault.NEGATIVE),
        ({"requests": 1.5}, Fault.NOT_WHOLE),
        ({"requests": 10**9}, Fault.ABSURD),
        ({"requests": 1e13}, Fault.ABSURD),
        ({"failed": float("nan")}, Fault.NOT_A_NUMBER),
        ({"failed": 951}, Fault.ABSURD),
        ({"failed": -3}, Fault.NEGATIVE),
        ({"slow": {"p99": "12"}}, Fault.MALFORMED),
        ({"version": 1.5}, Fault.MALFORMED),
        ({"version": True}, Fault.MALFORMED),
        ({"version": 10**40}, Fault.ABSURD),
        ({"version": "v" * 200}, Fault.MALFORMED),
        ({"router": 7}, Fault.MALFORMED),
        ({"router": "r" * 200}, Fault.MALFORMED),
        ({"users": {"new": -1}}, Fault.NEGATIVE),
        ({"users": {"failed": 1}}, Fault.MISSING_COUNT),
    ],
)
def test_a_doubtful_row_is_refused_by_name(change: dict[str, Any], fault: Fault) -> None:
    with pytest.raises(Refused) as refused:
        parse({**ROW, **change}, CRITERIA)
    assert refused.value.fault is fault
    assert str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*ROW, "users", "pod", "outage"]), json_values))
def test_no_row_whatever_it_holds_does_more_than_be_refused(change: dict[str, Any]) -> None:
    try:
        row = parse({**ROW, **change}, CRITERIA)
    except Refused:
        return
    assert row.requests >= 0
    assert all(count <= row.requests for count in row.events)
