"""Releases from end to end, against the models of the API server and of the cluster."""

from datetime import timedelta

import pytest
from core_bench.cluster import crashing, holds, never_ready, promotes, rolls_back_at, unschedulable
from core_bench.scenes import STAYS, Scene, manifest, new_scene, revision, stable_scene
from penstock.reconcile.deployment import reconcile
from penstock.reconcile.effects import Apply, Create, Queue, Requeue

V1, V2, V3 = revision(1), revision(2), revision(3)
SECONDS = timedelta(seconds=1)
WATCH = {"rollout": {"steps": [{"weight": 5}, {"weight": 50}], "watchFor": "1m"}}


def seconds(count: int) -> timedelta:
    return count * SECONDS


def in_release(judge=holds, **spec) -> Scene:
    """Version 2 has 5 % of the traffic."""
    scene = stable_scene(judge, **spec).wants(2).run(seconds(15))
    assert scene.arms() == {V1: 95, V2: 5}
    return scene


def test_a_first_deployment_gets_everything_when_it_is_ready() -> None:
    scene = new_scene()
    scene.operator.settle()
    assert scene.status["phase"] == "Starting"
    assert scene.kstatus == "InProgress"
    scene.run(seconds(20))
    assert scene.status["phase"] == "Stable"
    assert scene.status["stable"] == {"revision": V1}
    assert scene.status["url"] == "http://fraud.risk.svc"
    assert scene.kstatus == "Current"
    assert scene.arms() == {V1: 100}
    assert scene.replicas() == {V1: 4}


def test_a_first_deployment_that_fails_gets_no_traffic_and_the_next_spec_is_a_first_again() -> None:
    scene = new_scene()
    scene.cluster.behaviour[V1] = crashing(3)
    scene.run(seconds(20))
    assert scene.status["phase"] == "Failed"
    assert scene.condition("Stalled")["reason"] == "NeverReady"
    assert "exit code 1" in scene.status["message"]
    assert "stable" not in scene.status
    scene.wants(2).run(seconds(20))
    assert scene.status["phase"] == "Stable"
    assert scene.status["stable"] == {"revision": V2}
    assert scene.record(V1)["role"] == "Superseded"
    assert scene.status["history"][1] | {"startedAt": "", "endedAt": ""} == {
        "revision": V1,
        "outcome": "Failed",
        "reason": "NeverReady",
        "startedAt": "",
        "endedAt": "",
    }
    scene.run(seconds(60))
    assert scene.replicas() == {V2: 4}


def test_a_better_candidate_is_promoted_in_steps_and_its_predecessor_stays_warm() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(40))
    assert scene.status["phase"] == "Watching"
    assert scene.arms() == {V2: 100}
    assert scene.replicas() == {V1: 4, V2: 4}
    assert scene.record(V2)["reason"] == "HarmExcluded"
    assert scene.record(V1)["role"] == "Previous"
    assert [row["outcome"] for row in scene.status["history"]] == ["Promoted", "Promoted"]
    scene.run(seconds(120))
    assert scene.status["phase"] == "Stable"
    assert scene.replicas() == {V2: 4}
    assert ("Service", V1) not in scene.api.objects


def test_stable_keeps_its_size_and_candidate_pods_come_before_their_weight() -> None:
    scene = stable_scene(promotes).wants(2)
    seen = []
    for _ in range(12):
        scene.run(seconds(5))
        seen.append((scene.arms().get(V2, 0), scene.replicas().get(V2, 0)))
        assert scene.replicas()[V1] == 4
    assert seen == sorted(seen)
    assert {(0, 1), (5, 2), (50, 4), (100, 4)} >= set(seen)


def test_a_worse_candidate_is_taken_back_and_stays_so() -> None:
    scene = in_release(rolls_back_at(50)).run(seconds(25))
    assert scene.status["phase"] == "RolledBack"
    assert scene.kstatus == "Failed"
    assert scene.condition("Ready")["reason"] == "Worse"
    assert scene.condition("Available")["status"] == "True"
    assert scene.condition("Released")["status"] == "False"
    assert scene.arms() == {V1: 100}
    assert "worse on failed" in scene.status["message"]
    scene.run(seconds(60))
    assert scene.replicas() == {V1: 4}
    scene.edit(runtime={"replicas": 6}).run(seconds(60))
    assert scene.replicas() == {V1: 6}
    assert scene.record(V2)["role"] == "Rejected"
    assert scene.status["phase"] == "RolledBack"


def test_traffic_is_moved_before_anything_else_is_done() -> None:
    scene = in_release()
    scene.cluster.counter.judge = rolls_back_at(5)
    scene.wants(3)
    scene.cluster.elapse(seconds(5))
    world = scene.operator.world()
    assert world is not None
    first, second, third, *_ = reconcile(world)
    assert isinstance(first, Apply)
    assert first.manifest["metadata"]["name"] == V2
    assert first.manifest["record"]["release"].get("weight", 0) == 0
    assert isinstance(second, Requeue)
    assert (second.queue, second.after) == (Queue.ROUTER, timedelta(0))
    assert isinstance(third, Create)
    assert third.manifest["metadata"]["name"] == V3


def test_a_rejected_revision_that_is_wanted_again_is_not_released_again() -> None:
    scene = in_release(rolls_back_at(50)).run(seconds(30))
    scene.wants(1).run(seconds(10))
    assert scene.status["phase"] == "Stable"
    scene.wants(2).run(seconds(30))
    assert scene.status["phase"] == "RolledBack"
    assert scene.condition("Stalled")["reason"] == "RejectedBefore"
    assert "penstock.dev/retry" in scene.status["message"]
    assert scene.replicas() == {V1: 4}


def test_a_newer_revision_takes_the_place_of_a_candidate() -> None:
    scene = in_release()
    scene.wants(3).run(seconds(5))
    assert scene.record(V2)["role"] == "Superseded"
    assert scene.arms() == {V1: 100, V3: 0}
    scene.run(seconds(10))
    assert scene.arms() == {V1: 95, V3: 5}
    assert scene.status["candidate"]["step"] < 2
    scene.wants(2).run(seconds(15))
    assert scene.arms() == {V1: 95, V2: 5}


def test_the_stable_revision_wanted_again_ends_the_release() -> None:
    scene = in_release().wants(1).run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.status["phase"] == "Stable"
    assert scene.status["history"][0]["outcome"] == "Returned"
    assert scene.record(V2)["role"] == "Superseded"


def test_the_previous_revision_wanted_again_in_its_watch_gets_everything_at_once() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(40))
    assert scene.status["phase"] == "Watching"
    scene.wants(1).run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.status["phase"] == "Watching"
    assert scene.replicas() == {V1: 4, V2: 4}


def test_the_previous_revision_wanted_again_after_its_watch_is_an_ordinary_release() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(180))
    scene.cluster.counter.judge = holds
    scene.wants(1).run(seconds(15))
    assert scene.arms() == {V2: 95, V1: 5}


def test_immediate_needs_no_evidence_but_ready_pods() -> None:
    scene = stable_scene(rollout={"strategy": "Immediate"})
    scene.cluster.behaviour[V2] = unschedulable
    scene.wants(2).run(seconds(20))
    assert scene.arms() == {V1: 100, V2: 0}
    assert scene.condition("Ready")["reason"] == "Unschedulable"
    del scene.cluster.behaviour[V2]
    scene.run(seconds(10))
    assert scene.arms() == {V2: 100}
    assert scene.status["phase"] == "Watching"


def test_a_crash_under_traffic_is_taken_back() -> None:
    scene = in_release()
    scene.cluster.behaviour[V2] = crashing(2, message="MemoryError: cannot allocate")
    scene.run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.condition("Stalled")["reason"] == "Crash"
    assert "MemoryError" in scene.status["message"]


def test_a_crash_of_everything_takes_nothing_back() -> None:
    scene = in_release()
    scene.cluster.behaviour |= {V1: crashing(2), V2: crashing(2)}
    scene.run(seconds(5))
    assert scene.record(V2).get("role", "Candidate") == "Candidate"
    assert scene.status["phase"] == "Unavailable"
    assert scene.kstatus == "InProgress"
    assert scene.condition("Ready")["status"] == "False"


def test_pods_that_never_become_ready_never_get_traffic_and_are_not_rejected() -> None:
    scene = stable_scene()
    scene.cluster.behaviour[V2] = crashing(3)
    scene.wants(2).run(seconds(20))
    assert scene.arms() == {V1: 100, V2: 0}
    assert scene.status["phase"] == "Refused"
    assert scene.condition("Stalled")["reason"] == "NeverReady"
    assert scene.condition("Available")["status"] == "True"
    del scene.cluster.behaviour[V2]
    scene.run(seconds(10))
    assert scene.arms() == {V1: 95, V2: 5}


def test_pods_that_are_silent_need_a_person_after_ten_minutes() -> None:
    scene = stable_scene()
    scene.cluster.behaviour[V2] = never_ready
    scene.wants(2).run(timedelta(minutes=9), tick=seconds(30))
    assert scene.status["phase"] == "Holding"
    scene.run(timedelta(minutes=2), tick=seconds(30))
    assert scene.status["phase"] == "Refused"


def test_trouble_outside_of_the_model_holds_and_passes() -> None:
    scene = stable_scene()
    scene.cluster.behaviour[V2] = unschedulable
    scene.wants(2).run(seconds(120))
    assert scene.status["phase"] == "Holding"
    assert scene.condition("Reconciling")["reason"] == "Unschedulable"
    assert scene.kstatus == "InProgress"
    del scene.cluster.behaviour[V2]
    scene.run(seconds(15))
    assert scene.arms() == {V1: 95, V2: 5}


def test_paused_starts_nothing() -> None:
    scene = stable_scene().edit(paused=True).wants(2).run(seconds(30))
    assert scene.status["phase"] == "Paused"
    assert scene.replicas() == {V1: 4}
    scene.edit(paused=False).run(seconds(15))
    assert scene.arms() == {V1: 95, V2: 5}


def test_paused_stops_progress_but_not_rollback_or_repair() -> None:
    scene = in_release(promotes).edit(paused=True).run(seconds(60))
    assert scene.arms() == {V1: 95, V2: 5}
    assert scene.condition("Reconciling")["reason"] == "Paused"
    scene.api.edit("Deployment", V1, {"spec": {"replicas": 1}})
    scene.operator.settle()
    assert scene.replicas()[V1] == 4
    scene.cluster.counter.judge = rolls_back_at(5)
    scene.run(seconds(5))
    assert scene.arms() == {V1: 100}


def test_a_release_without_a_verdict_at_its_deadline_needs_a_person() -> None:
    spec = {"rollout": {"steps": [{"weight": 5}], "deadline": "2m"}}
    scene = in_release(**spec).run(seconds(130))
    assert scene.status["phase"] == "DeadlineExceeded"
    assert scene.kstatus == "Failed"
    assert scene.arms() == {V1: 95, V2: 5}
    scene.edit(rollout={"deadline": "1h"}).run(seconds(5))
    assert scene.status["phase"] == "Releasing"
    scene.edit(rollout={"deadline": "2m", "onDeadline": "Rollback"}).run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.status["phase"] == "DeadlineExceeded"
    assert scene.record(V2)["role"] == "Rejected"
    assert scene.status["history"][0]["outcome"] == "DeadlineExceeded"


def test_a_promoted_revision_that_crashes_in_its_watch_is_taken_back_to_the_warm_one() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(40))
    assert scene.status["phase"] == "Watching"
    scene.cluster.behaviour[V2] = crashing(2)
    scene.run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.status["phase"] == "RolledBack"
    assert scene.status["stable"] == {"revision": V1}
    assert scene.status["history"][0]["outcome"] == "RolledBack"
    scene.run(seconds(300), tick=seconds(20))
    assert scene.replicas() == {V1: 4}
    assert scene.arms() == {V1: 100}


def test_ready_when_serving_leaves_ready_true_in_mid_release() -> None:
    scene = in_release(rollout={"steps": [{"weight": 5}, {"weight": 50}], "readyWhen": "Serving"})
    assert scene.condition("Ready")["status"] == "True"
    assert scene.condition("Released")["status"] == "False"
    assert scene.kstatus == "Current"


def test_frozen_terms_outlive_a_change_of_the_spec() -> None:
    scene = in_release()
    before = scene.record(V2)["release"]["terms"]
    scene.edit(rollout={"falseRollback": "5%", "guardrails": [{"name": "failed", "metric": "failed"}]})
    scene.run(seconds(10))
    assert scene.record(V2)["release"]["terms"] == before
    scene.wants(3).run(seconds(10))
    assert scene.record(V3)["release"]["terms"]["falseRollback"] == "5%"


def test_a_canary_that_has_begun_stays_one() -> None:
    scene = in_release().edit(rollout={"strategy": "Immediate", "steps": None}).run(seconds(30))
    assert scene.arms()[V1] > 0


def test_a_canary_that_has_not_begun_stays_one_too() -> None:
    scene = stable_scene(**STAYS)
    scene.cluster.behaviour[V2] = unschedulable
    scene.wants(2).run(seconds(10)).edit(rollout={"strategy": "Immediate", "steps": None}).run(seconds(10))
    del scene.cluster.behaviour[V2]
    scene.run(seconds(15))
    assert 0 < scene.arms()[V2] < 100


def test_later_steps_apply_at_once() -> None:
    steps = [{"weight": 5, "minRequests": 100}, {"weight": 10}]
    scene = in_release().edit(rollout={"steps": steps}).run(seconds(15))
    assert scene.arms() == {V1: 90, V2: 10}


def test_a_digest_that_is_missing_is_asked_for_and_ends_the_release() -> None:
    scene = in_release().edit(model={"digest": None}).run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.status["phase"] == "Refused"
    assert scene.condition("Stalled")["reason"] == "DigestNotPinned"
    assert "penstock digest" in scene.status["message"]


@pytest.mark.parametrize("version", [1, 2])
def test_the_same_manifest_again_writes_nothing(version: int) -> None:
    scene = in_release() if version == 2 else stable_scene()
    scene.run(seconds(5))
    before = scene.api.writes
    scene.api.edit("ModelDeployment", "fraud", {"spec": manifest(version)["spec"]})
    scene.operator.settle()
    assert scene.api.writes == before


def test_events_are_told_once_per_transition() -> None:
    scene = in_release(rolls_back_at(50)).run(seconds(120))
    reasons = [event["reason"] for event in scene.api.events.values()]
    assert reasons.count("Worse") == 1
    assert reasons.count("Promoted") == 1
    assert len(reasons) == len(set(scene.api.events))
    assert len(reasons) <= 8


def test_a_release_that_is_judged_on_and_on_writes_no_more_than_twice_a_minute() -> None:
    """The judge's memory changes with every second, also when no request comes."""
    scene = in_release(rollout={"steps": [{"weight": 5}, {"pause": {"duration": "1h"}}, {"weight": 50}]})
    scene.cluster.counter.rate = 0
    scene.run(seconds(60))
    before = scene.api.writes
    scene.run(timedelta(minutes=5), tick=seconds(2))
    assert 5 <= scene.api.writes - before <= 11
