"""The operator killed at random moments: the same end, no step skipped, nothing told twice."""

import random
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from operator_bench import models
from operator_bench.waiting import until

pytest_plugins = ["operator_bench.fixtures"]
pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

SEED = 20261124
BEHAVIOURS = {"good": "healthy", "bad": "failing"}


@pytest.fixture(params=[6, pytest.param(20, marks=pytest.mark.campaign)])
def mortal(bench, request):
    """A namespace, how often to kill, and the operator with nothing else to look at: it comes up sooner."""
    operator, namespace = bench.operator, f"kills-{request.param}"
    operator.environment["PENSTOCK_NAMESPACES"] = namespace
    operator.stop()
    operator.start(wait=False)
    yield bench.admin.namespace(namespace), request.param
    operator.kill()
    del operator.environment["PENSTOCK_NAMESPACES"]
    operator.start()


def test_kills_at_random_writes_change_nothing_about_the_end(bench, mortal):
    admin, operator, (namespace, most_kills) = bench.admin, bench.operator, mortal
    chance = random.Random(SEED)
    kills = 0

    def live_and_die() -> None:
        """Let the operator come up and make some writes or be up for a while; then kill it."""
        nonlocal kills
        before = len(bench.trail.writes(namespace))
        until(lambda: operator.is_ready() or len(bench.trail.writes(namespace)) > before, operator.tail)
        most, end = chance.randrange(0, 6), time.monotonic() + chance.uniform(0.0, 1.5)
        while len(bench.trail.writes(namespace)) - before < most and time.monotonic() < end:
            time.sleep(0.005)
        operator.kill()
        kills += 1
        operator.start(wait=False)

    for version in (1, 2):
        for name in BEHAVIOURS:
            admin.apply(models.deployment(namespace, name, version))
        while kills < most_kills * version / 2:
            live_and_die()
        if version == 1:
            for name in BEHAVIOURS:
                models.until_phase(admin, namespace, name, "Stable", log=operator.tail)
            bench.agents.behaviours[namespace] = dict(BEHAVIOURS)
    good = models.until_phase(admin, namespace, "good", "Watching", log=operator.tail)
    bad = models.until_phase(admin, namespace, "bad", "RolledBack", log=operator.tail)
    assert [row["outcome"] for row in good["history"]] == ["Promoted", "Promoted"]
    assert [row["outcome"] for row in bad["history"]] == ["RolledBack", "Promoted"]
    for name, weights in (("good", [0, 10, 50]), ("bad", [0, 10])):
        splits = bench.agents.history[namespace, name]
        assert [split.weight for split in splits if split.candidate] == weights
        assert [split.epoch for split in splits] == sorted({split.epoch for split in splits})
    told = [event["note"] for event in admin.items("Event", namespace)
            if event["regarding"].get("kind") == "ModelDeployment"]  # fmt: skip
    assert len(told) == len(set(told))
