"""What must hold in every status that is ever written."""

import json
from collections.abc import Mapping
from typing import Any

from penstock.api.kstatus import KStatus, kstatus_of
from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.phases import reading_of
from penstock.api.status import MAX_STATUS_BYTES


def assert_sound(document: Mapping[str, Any]) -> None:
    """Raise AssertionError when a ModelDeployment's status breaks a rule."""
    made = read(ModelDeployment, document)
    status = made.status
    assert status.phase is not None
    reading = reading_of(status.phase, made.spec.rollout.ready_when)
    conditions = {str(condition.type): condition for condition in status.conditions}
    assert {"Ready", "Available", "Released"} <= set(conditions)
    assert not {"Reconciling", "Stalled"} <= set(conditions)
    assert conditions["Ready"].status is reading.ready
    assert ("Reconciling" in conditions) == reading.reconciling
    assert ("Stalled" in conditions) == reading.stalled
    assert all(conditions[kind].status == "True" for kind in ("Reconciling", "Stalled") if kind in conditions)
    assert all(condition.message for condition in status.conditions)
    assert status.message
    assert status.observed_generation <= made.metadata.generation
    if status.observed_generation == made.metadata.generation:
        assert kstatus_of(document) is reading.kstatus
    else:
        assert kstatus_of(document) is KStatus.IN_PROGRESS
    assert len(json.dumps(document["status"])) <= MAX_STATUS_BYTES
    if status.candidate is not None and status.stable is not None:
        assert status.candidate.revision != status.stable.revision
