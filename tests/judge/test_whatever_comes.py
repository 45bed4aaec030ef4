"""Whatever rows come, the judge goes on, says numbers, and remembers them."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.release import Release
from penstock.judge.state import dump, resume
from penstock.judge.verdict import sentence

Fields = dict[str, Any]


def criteria(unit: Unit) -> Criteria:
    return Criteria(
        (
            Guardrail("plain", "failed", Tolerance(1.5, 0.01), unit),
            Guardrail("ratio", "failed", Tolerance(1.5, 0.0), unit),
            Guardrail("equal", "failed", Tolerance(1.0, 0.0), unit),
            Guardrail("wide", "refused", Tolerance(100.0, 0.99), unit),
            Guardrail("auto", "slow", Tolerance(1.0, None), unit),
        )
    )


counts = st.one_of(st.integers(0, 60), st.sampled_from([0, 1, 10**6, 10**9 - 1]), st.integers(0, 10**9 - 1))
parts = st.sampled_from([0.0, 0.0, 1e-6, 0.01, 0.5, 1.0])
weights = st.sampled_from([None, 0, 1e-300, 1e-9, 0.01, 1, 50, 99, 99.999_999_999_999, 100])
junk = st.sampled_from([None, True, -1, 0.5, float("nan"), float("inf"), 10**400, "7", [], {}, {"new": 10**9 - 1}])


@st.composite
def rows(draw: st.DrawFn) -> list[Fields]:
    t, found = 0.0, []
    for _ in range(draw(st.integers(1, 30))):
        t += draw(st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, 100.0]))
        weight, version = draw(weights), draw(st.sampled_from([None, 1, 2, "x"]))
        for arm in ("stable", "candidate"):
            requests, part = draw(counts), draw(parts)
            events = int(requests * part)
            row: Fields = {
                "t": t, "arm": arm, "router": draw(st.sampled_from(["a", "b"])), "weight": weight, "version": version,
                "requests": requests, "failed": events, "refused": events, "slow": {"auto": events},
                "users": {"new": requests, "failed": events, "refused": events, "slow": {"auto": events}},
                "pod": draw(st.sampled_from(["", "p1", "p2"])), "outage": draw(st.sampled_from(["", "o1", "o2"])),
            }  # fmt: skip
            if draw(st.integers(0, 9)) == 0:
                row[draw(st.sampled_from(sorted(row)))] = draw(junk)
            found.append(row)
    return found


@pytest.mark.parametrize("unit", list(Unit))
@settings(max_examples=60, deadline=None)
@given(source=rows())
def test_no_row_ends_the_judge_and_every_number_is_one(unit: Unit, source: list[Fields]) -> None:
    contract = criteria(unit)
    release = Release(contract)
    for fields in source:
        for _ in release.looks(fields):
            check(release, contract)
        release = resume(contract, dump(release))
    for _ in release.finish():
        check(release, contract)
    check(release, contract)


def check(release: Release, contract: Criteria) -> None:
    verdict = release.verdict()
    json.dumps(asdict(verdict), allow_nan=False)
    assert sentence(verdict, contract)
    for metric in verdict.metrics:
        assert -1e6 <= metric.log_evalue < 1e6
        assert -1.0 <= metric.interval[0] <= metric.interval[1] <= 1.0
