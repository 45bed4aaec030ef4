"""Killed between any two writes, the operator comes to the same end, and no step is skipped or taken twice."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from core_bench.cluster import Judge, crashing, promotes, rolls_back_at
from core_bench.operator import Cut
from core_bench.scenes import STEPS, Scene, lasting, new_scene, revision, stable_scene
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Apply, Create, Effect, Requeue

LONG_ENOUGH = timedelta(seconds=110)
DELAY = timedelta(seconds=10)
"""By which a cut may put off the end."""


@dataclass
class Trace:
    """The weights that records were given, in order, repetitions aside."""

    weights: list[tuple[str, str, int, int]] = field(default_factory=list)

    def note(self, effect: Effect) -> None:
        if not isinstance(effect, (Apply, Create)) or effect.manifest["kind"] != "ModelRevision":
            return
        record = effect.manifest["record"]
        release = record["release"]
        entry = (
            effect.manifest["metadata"]["name"],
            record.get("role", "Candidate"),
            release.get("step", 0),
            release.get("weight", 0),
        )
        if entry not in self.weights:
            self.weights.append(entry)


ROLLOUT = {"rollout": {"steps": list(STEPS), "watchFor": "15s"}}


def first_deployment(_judge: Judge) -> Scene:
    return new_scene()


def second_release(judge: Judge) -> Scene:
    return stable_scene(judge, **ROLLOUT).wants(2)


def superseded_release(judge: Judge) -> Scene:
    scene = stable_scene(judge).wants(2).run(timedelta(seconds=15))
    assert scene.status["candidate"]["weight"] == 5
    return scene.wants(3)


def crash_in_the_watch(_judge: Judge) -> Scene:
    scene = stable_scene(promotes).wants(2).run(timedelta(seconds=60))
    assert scene.status["phase"] == "Watching"
    scene.cluster.behaviour[revision(2)] = crashing(2)
    return scene


SCENARIOS = {
    "first deployment": (first_deployment, promotes, "Stable"),
    "a release that promotes": (second_release, promotes, "Stable"),
    "a release that rolls back": (second_release, rolls_back_at(50), "RolledBack"),
    "a release that supersedes another": (superseded_release, promotes, "Watching"),
    "a promoted revision that crashes in its watch": (crash_in_the_watch, promotes, "RolledBack"),
}


@dataclass(frozen=True)
class Reference:
    """The run without a cut."""

    begin: Scene
    end: dict[str, object]
    weights: list[tuple[str, str, int, int]]
    effects: int


@pytest.fixture(scope="module")
def references() -> dict[str, Reference]:
    return {}


def reference(name: str, known: dict[str, Reference]) -> Reference:
    if name not in known:
        make, judge, phase = SCENARIOS[name]
        begin = make(judge)
        begin.operator.done.clear()
        scene, trace = begin.copy(), Trace()
        scene.operator.observe = trace.note
        scene.run(LONG_ENOUGH)
        assert scene.status["phase"] == phase
        known[name] = Reference(begin, lasting(scene.api), trace.weights, len(scene.operator.done))
    return known[name]


@pytest.mark.parametrize("cut", Cut, ids=lambda cut: cut.name.lower())
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_cut_comes_to_the_same_end(name: str, cut: Cut, references: dict[str, Reference]) -> None:
    expected = reference(name, references)
    assert expected.effects >= 7
    for at in range(1, expected.effects + 1):
        scene, trace = expected.begin.copy(), Trace()
        scene.operator.cut_at, scene.operator.cut, scene.operator.observe = at, cut, trace.note
        scene.run(LONG_ENOUGH + DELAY)
        where = f"cut at effect {at}"
        assert lasting(scene.api) == expected.end, where
        assert trace.weights == expected.weights, where


@pytest.mark.parametrize("name", SCENARIOS)
def test_at_the_end_nobody_writes(name: str, references: dict[str, Reference]) -> None:
    scene = reference(name, references).begin.copy().run(LONG_ENOUGH)
    writes = scene.api.writes
    for _ in range(12):
        scene.api.now += timedelta(seconds=10)
        scene.operator.settle()
    assert scene.api.writes == writes


@pytest.mark.parametrize("name", SCENARIOS)
def test_passes_can_be_repeated_at_any_moment(name: str, references: dict[str, Reference]) -> None:
    scene = reference(name, references).begin.copy()
    while scene.api.now < reference(name, references).begin.api.now + LONG_ENOUGH:
        scene.cluster.elapse(timedelta(seconds=5))
        scene.operator.settle()
        writes = scene.api.writes
        scene.operator.once()
        assert scene.api.writes == writes


def test_a_pass_over_an_older_view_moves_no_weight() -> None:
    """Records and the table are written in the version that was read; whoever comes late is refused."""
    scene = second_release(rolls_back_at(50))
    older: list[list[Effect]] = []
    for _ in range(22):
        world = scene.operator.world()
        assert world is not None
        older.append([effect for effect in reconcile(world) if not isinstance(effect, Requeue)])
        scene.operator.settle()
        scene.cluster.elapse(timedelta(seconds=5))
    weights = scene.arms()
    assert sum(map(bool, older)) >= 5
    for effects in older:
        late = scene.copy()
        for effect in effects:
            late.operator.attempt(effect)
        late.operator.settle()
        assert late.arms() == weights
