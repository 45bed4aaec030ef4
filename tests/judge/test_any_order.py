"""The same rows, good and bad, in any order before their second closes: the same verdicts."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from penstock.judge.criteria import Criteria, Guardrail, Tolerance, Unit
from penstock.judge.release import Release
from penstock.judge.state import dump, resume

Fields = dict[str, Any]
CRITERIA = Criteria(
    (
        Guardrail("failed", "failed"),
        Guardrail("slow", "slow", Tolerance(1.5, None), Unit.STRATA),
    )
)
BY_ARRIVAL = {"Duplicate", "ClockSkew", "Gap"}
"""Faults that tell of the delivery itself."""

SPOILT = (
    {"failed": -1}, {"failed": float("nan")}, {"requests": 10**12}, {"failed": None}, {"slow": None}, {"arm": "both"},
    {"weight": 25}, {"router": 7}, {"version": [1]}, {"requests": 0.5},
)  # fmt: skip


def source(seed: int) -> list[list[Fields]]:
    """Rows of two routers and two pods by second, some of them spoilt; the share in force and the version move once."""
    chance = random.Random(seed)
    harm = chance.choice([0.0, 0.02, 0.2])
    seconds = []
    for t in range(80):
        group: list[Fields] = []
        for router in ("a", "b"):
            for arm, pod in (("stable", "s1"), ("stable", "s2"), ("candidate", "c")):
                requests = chance.randint(0, 30)
                failed = sum(chance.random() < 0.01 + harm * (arm == "candidate") for _ in range(requests))
                group.append(
                    {"t": t + chance.choice([0.0, 0.25, 0.5]), "router": router, "pod": pod, "arm": arm,
                     "version": 1 + (t > 40), "weight": 10 if t <= 40 else 50, "requests": requests, "failed": failed,
                     "slow": {"slow": min(requests, failed + chance.randint(0, 1))}}
                )  # fmt: skip
                if t >= 5 and chance.random() < 0.03:
                    group[-1] |= chance.choice(SPOILT)
        seconds.append(group)
    return seconds


def verdicts(release: Release, rows: list[Fields], chance: random.Random | None) -> list[object]:
    """Word, reason, evidence and faults at every look; with `chance`, resumed from its state now and then."""
    found = []
    for fields in rows:
        for stratum in release.looks(fields):
            found.append((stratum, *told(release)))
        if chance is not None and chance.random() < 0.05:
            release = resume(CRITERIA, dump(release))
    for stratum in release.finish():
        found.append((stratum, *told(release)))
    return [*found, told(release)]


def told(release: Release) -> tuple[object, ...]:
    verdict = release.verdict()
    faults = tuple((name, count) for name, count in verdict.faults if name not in BY_ARRIVAL)
    return verdict.decision, verdict.reason, verdict.metric, verdict.metrics, verdict.log_evalue, faults


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.integers(0, 10_000))
def test_rows_good_and_bad_give_the_same_verdicts_in_any_order_before_their_second_closes(
    seed: int, order: int
) -> None:
    seconds = source(seed)
    chance = random.Random(order)
    # once both are heard, neither closes what the other may still tell: b lags two seconds behind
    shuffled: list[Fields] = []
    for t in range(len(seconds) + 2):
        now = [fields for fields in (seconds[t] if t < len(seconds) else []) if t == 0 or fields["router"] != "b"]
        now += [fields for fields in (seconds[t - 2] if t > 2 else []) if fields["router"] == "b"]
        now += chance.choices(now, k=chance.randint(0, 3)) if now else []
        chance.shuffle(now)
        shuffled += now
    straight = [fields for group in seconds for fields in group]
    expected = verdicts(Release(CRITERIA), straight, None)
    assert verdicts(Release(CRITERIA), shuffled, chance) == expected
