"""What Flux, `kubectl wait` and Argo CD read in each phase: the published table."""

from typing import Any

import pytest
from penstock.api.conditions import ConditionStatus
from penstock.api.kstatus import KStatus, kstatus_of
from penstock.api.phases import Phase, Reading, reading_of
from penstock.api.rollout import ReadyWhen

TABLE = {
    (Phase.STARTING, ReadyWhen.RELEASED): ("Unknown", True, False, "InProgress", "Progressing"),
    (Phase.STARTING, ReadyWhen.SERVING): ("Unknown", True, False, "InProgress", "Progressing"),
    (Phase.RELEASING, ReadyWhen.RELEASED): ("Unknown", True, False, "InProgress", "Progressing"),
    (Phase.RELEASING, ReadyWhen.SERVING): ("True", False, False, "Current", "Healthy"),
    (Phase.HOLDING, ReadyWhen.RELEASED): ("Unknown", True, False, "InProgress", "Progressing"),
    (Phase.HOLDING, ReadyWhen.SERVING): ("True", False, False, "Current", "Healthy"),
    (Phase.PAUSED, ReadyWhen.RELEASED): ("Unknown", True, False, "InProgress", "Suspended"),
    (Phase.PAUSED, ReadyWhen.SERVING): ("True", False, False, "Current", "Suspended"),
    **{
        (phase, when): ("True", False, False, "Current", "Healthy")
        for phase in (Phase.STABLE, Phase.WATCHING)
        for when in ReadyWhen
    },
    **{
        (phase, when): ("False", False, True, "Failed", "Degraded")
        for phase in (Phase.ROLLED_BACK, Phase.DEADLINE_EXCEEDED, Phase.REFUSED, Phase.FAILED)
        for when in ReadyWhen
    },
    **{(Phase.UNAVAILABLE, when): ("False", True, False, "InProgress", "Degraded") for when in ReadyWhen},
}
EVERY = [(phase, when) for phase in Phase for when in ReadyWhen]


def written(reading: Reading) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": reading.ready.value}]
    conditions += [{"type": "Reconciling", "status": "True"}] if reading.reconciling else []
    conditions += [{"type": "Stalled", "status": "True"}] if reading.stalled else []
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": conditions}}


@pytest.mark.parametrize(("phase", "when"), EVERY)
def test_a_phase_reads_as_the_table_says(phase: Phase, when: ReadyWhen) -> None:
    reading = reading_of(phase, when)
    seen = (reading.ready, reading.reconciling, reading.stalled, reading.kstatus, reading.argo)
    assert tuple(getattr(value, "value", value) for value in seen) == TABLE[phase, when]


@pytest.mark.parametrize(("phase", "when"), EVERY)
def test_kstatus_concludes_from_the_conditions_what_the_table_promises(phase: Phase, when: ReadyWhen) -> None:
    reading = reading_of(phase, when)
    assert kstatus_of(written(reading)) is reading.kstatus


@pytest.mark.parametrize(("phase", "when"), EVERY)
def test_the_conditions_never_contradict_each_other(phase: Phase, when: ReadyWhen) -> None:
    reading = reading_of(phase, when)
    assert not (reading.reconciling and reading.stalled)
    if reading.ready is ConditionStatus.TRUE:
        assert not reading.reconciling
        assert not reading.stalled
    if reading.ready is ConditionStatus.UNKNOWN:
        assert reading.reconciling


READY = {"type": "Ready", "status": "True"}


@pytest.mark.parametrize(
    ("document", "concluded"),
    [
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, KStatus.TERMINATING),
        (
            {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": [READY]}},
            KStatus.IN_PROGRESS,
        ),
        ({"metadata": {"generation": 2}}, KStatus.CURRENT),
        ({"metadata": {"generation": 2}, "status": None}, KStatus.CURRENT),
        ({"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}, KStatus.IN_PROGRESS),
        ({"metadata": {}, "status": {"conditions": [READY, {"type": "Stalled", "status": "True"}]}}, KStatus.FAILED),
        ({"metadata": {}, "status": {"conditions": [READY, {"type": "Stalled", "status": "False"}]}}, KStatus.CURRENT),
    ],
)
def test_kstatus_looks_at_deletion_then_generation_then_conditions(
    document: dict[str, Any], concluded: KStatus
) -> None:
    assert kstatus_of(document) is concluded
