"""Whatever people and the world do, in any order, with the operator killed at any write: what must always hold holds,
and when they stop, it comes to rest."""

from datetime import timedelta
from typing import Any

from core_bench.api_model import Document
from core_bench.cluster import crashing, holds, never_ready, promotes, rolls_back_at, saying, unschedulable
from core_bench.operator import Cut
from core_bench.scenes import new_scene, revision
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

VERSIONS = st.integers(1, 4)
SAYINGS = [saying(words) for words in ('{"backend": "onnx"}', '{"backend": "scikit-learn"}', "no word of ours")]
BEHAVIOURS = st.sampled_from([None, None, crashing(2), crashing(3), never_ready, unschedulable, *SAYINGS])
JUDGES = st.sampled_from([holds, promotes, rolls_back_at(5), rolls_back_at(50)])


class Life(RuleBasedStateMachine):
    """A deployment's life."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = new_scene(
            rollout={"steps": [{"weight": 5, "minRequests": 100}, {"weight": 50}], "watchFor": "40s"}
        )
        self.epoch = 0
        self.time = 0
        self.retried: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.scene.operator.settle()

    @rule(ticks=st.integers(1, 8))
    def time_passes(self, ticks: int) -> None:
        self.scene.run(ticks * timedelta(seconds=5))

    @rule(version=VERSIONS)
    def another_version_is_wanted(self, version: int) -> None:
        self.scene.wants(version)

    @rule(replicas=st.integers(1, 6))
    def it_is_scaled(self, replicas: int) -> None:
        self.scene.edit(runtime={"replicas": replicas})

    @rule(paused=st.booleans())
    def it_is_paused(self, paused: bool) -> None:
        self.scene.edit(paused=paused)

    @rule(judge=JUDGES)
    def the_model_changes_its_ways(self, judge: Any) -> None:
        self.scene.cluster.counter.judge = judge

    @rule(version=VERSIONS, behaviour=BEHAVIOURS)
    def its_pods_change_their_ways(self, version: int, behaviour: Any) -> None:
        if behaviour is None:
            self.scene.cluster.behaviour.pop(revision(version), None)
        else:
            self.scene.cluster.behaviour[revision(version)] = behaviour

    @rule(version=VERSIONS, verb=st.sampled_from(["promote", "abort", "retry"]))
    def a_person_acts(self, version: int, verb: str) -> None:
        self.time += 1
        name = revision(version)
        if verb == "retry":
            self.retried.add(name)
        at = f"@2026-11-25T00:00:{self.time % 60:02d}Z" if verb == "retry" else ""
        self.scene.annotate(**{verb: name + at})

    @rule()
    def a_person_takes_back_the_word(self) -> None:
        self.scene.annotate(promote=None, abort=None, retry=None)

    @rule()
    def the_status_is_lost(self) -> None:
        self.scene.api.edit("ModelDeployment", "fraud", {"status": None})

    @rule(number=st.integers(0, 30))
    def a_child_is_deleted(self, number: int) -> None:
        children = sorted(
            key for key, it in self.scene.api.objects.items()
            if "ownerReferences" in it["metadata"] and key[0] != "ModelRevision"
        )  # fmt: skip
        if children:
            self.scene.api.delete(*children[number % len(children)])

    @rule(cut=st.sampled_from(Cut), effects=st.integers(1, 12))
    def the_operator_is_killed(self, cut: Cut, effects: int) -> None:
        operator = self.scene.operator
        operator.cut, operator.cut_at = cut, len(operator.done) + effects
        self.scene.cluster.elapse(timedelta(seconds=5))
        operator.once()
        operator.cut_at = None
        operator.settle()

    def records(self) -> dict[str, Document]:
        return {name: it["record"] for (kind, name), it in self.scene.api.objects.items() if kind == "ModelRevision"}

    @invariant()
    def weights_add_up_and_go_to_revisions_that_are_there(self) -> None:
        if ("ConfigMap", "penstock-router-default") not in self.scene.api.objects:
            return
        arms = self.scene.arms()
        assert sum(arms.values()) == 100
        assert arms.keys() <= self.records().keys()

    @invariant()
    def what_was_taken_back_gets_no_traffic(self) -> None:
        if ("ConfigMap", "penstock-router-default") not in self.scene.api.objects:
            return
        self.scene.operator.settle()
        arms = self.scene.arms()
        for name, record in self.records().items():
            if record.get("role") in ("Rejected", "Superseded") and len(arms) > 1:
                assert arms.get(name, 0) == 0

    @invariant()
    def there_is_one_stable_revision_and_one_candidate_at_most(self) -> None:
        self.scene.operator.settle()
        roles = [record.get("role", "Candidate") for record in self.records().values()]
        assert roles.count("Stable") <= 1
        assert roles.count("Candidate") <= 1
        if "Previous" in roles:
            assert roles.count("Stable") == 1

    @invariant()
    def epochs_never_fall(self) -> None:
        epoch = self.scene.status.get("epoch", self.epoch)
        assert epoch >= self.epoch
        self.epoch = epoch

    @invariant()
    def stable_has_its_full_size(self) -> None:
        self.scene.operator.settle()
        for name, record in self.records().items():
            if record.get("role") == "Stable":
                assert self.scene.replicas()[name] == self.scene.deployment["spec"]["runtime"]["replicas"]

    def teardown(self) -> None:
        """When nobody does anything any more, it comes to rest."""
        self.scene.cluster.counter.judge = holds
        self.scene.run(timedelta(minutes=12), tick=timedelta(seconds=60))
        candidate = self.scene.status.get("candidate")
        if candidate is not None and candidate["weight"] > 0:
            return  # it is judged on and on: the memory is kept once a minute
        self.scene.run(timedelta(minutes=12), tick=timedelta(seconds=60))
        writes = self.scene.api.writes
        for _ in range(3):
            self.scene.api.now += timedelta(seconds=60)
            self.scene.operator.settle()
        assert self.scene.api.writes == writes


Life.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase
