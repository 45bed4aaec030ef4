"""What people ask for by annotation acts once, on the revision it names, and is answered."""

from datetime import timedelta

import pytest
from core_bench.cluster import holds, promotes, rolls_back_at
from core_bench.scenes import STAYS, Scene, new_scene, revision, stable_scene

V1, V2, V3 = revision(1), revision(2), revision(3)
WATCH = {"rollout": {"steps": [{"weight": 5}, {"weight": 50}], "watchFor": "1m"}}


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def in_release(judge=holds, **spec) -> Scene:
    return stable_scene(judge, **spec).wants(2).run(seconds(15))


def rejected() -> Scene:
    return in_release(rolls_back_at(50)).run(seconds(30))


def test_abort_takes_the_candidate_back() -> None:
    scene = in_release().annotate(abort=V2).run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.status["phase"] == "RolledBack"
    assert scene.condition("Stalled")["reason"] == "Aborted"
    assert scene.status["lastAction"]["result"] == "Done"


def test_promote_needs_a_full_set_of_pods_and_nothing_else() -> None:
    scene = in_release(**STAYS).annotate(promote=V2)
    scene.operator.settle()
    assert scene.arms() == {V1: 95, V2: 5}
    assert scene.replicas()[V2] == 4
    assert "lastAction" not in scene.status
    scene.run(seconds(10))
    assert scene.arms() == {V2: 100}
    assert scene.record(V2)["reason"] == "Promoted"
    assert scene.status["lastAction"]["result"] == "Done"


@pytest.mark.parametrize(
    ("verb", "value", "says"),
    [
        ("promote", V1, "is not being released"),
        ("abort", V1, "is not being released"),
        ("promote", "fraud-0000000000", "There is no revision"),
        ("retry", f"{V2}@2026-11-24T06:00:00Z", "was not taken back"),
        ("promote", f"{V2}@2026-11-24T06:00:00Z", "takes only a revision"),
        ("retry", V2, "needs a time with its zone"),
        ("abort", "", "names no revision"),
        ("abort", "x" * 4000, "There is no revision"),
    ],
)
def test_what_cannot_act_is_ignored_told_and_told_once(verb: str, value: str, says: str) -> None:
    scene = in_release()
    before = scene.arms()
    scene.annotate(**{verb: value}).run(seconds(5))
    assert scene.arms() == before
    answer = scene.status["lastAction"]
    assert (answer["verb"], answer["result"]) == (verb, "Ignored")
    assert says in answer["message"]
    told = [event for event in scene.api.events.values() if event["reason"] == "ActionIgnored"]
    assert len(told) == 1
    writes = scene.api.writes
    scene.operator.settle()
    assert scene.api.writes == writes


@pytest.mark.parametrize(
    "asked",
    [
        {"promote": "fraud-0000000000", "abort": "fraud-1111111111", "retry": "fraud-2222222222@x"},
        {"promote": "fraud-0000000000", "retry": f"{V2}@2026-11-25T00:00:00Z"},
        {"promote": V1, "abort": V1},
    ],
)
def test_several_that_cannot_act_are_told_once_each_and_do_not_take_turns(asked: dict[str, str]) -> None:
    scene = in_release().annotate(**asked).run(seconds(5))
    told = [event["note"] for event in scene.api.events.values() if event["reason"] == "ActionIgnored"]
    assert len(told) == 1
    writes = scene.api.writes
    scene.operator.settle()
    assert scene.api.writes == writes
    scene.annotate(promote=None, abort=None, retry=None).run(seconds(5))
    assert "answered" not in str(scene.api.get("ModelRevision", V1)["metadata"])


def test_answers_have_a_place_also_when_nothing_serves_and_nothing_is_released() -> None:
    scene = new_scene().annotate(abort=V1)
    scene.operator.settle()
    scene.run(seconds(5)).annotate(retry="fraud-0000000000@2026-11-25T00:00:00Z", promote="fraud-0000000000")
    scene.run(seconds(5))
    assert scene.status["phase"] == "Failed"
    assert scene.status["lastAction"]["result"] == "Ignored"


def test_before_there_is_any_revision_an_action_is_told_once_too() -> None:
    scene = new_scene(paused=True).annotate(promote="fraud-0000000000", abort="fraud-1111111111")
    scene.operator.settle()
    assert scene.status["lastAction"]["result"] == "Ignored"
    version = scene.deployment["metadata"]["resourceVersion"]
    scene.run(seconds(10))
    assert scene.deployment["metadata"]["resourceVersion"] == version


def test_retry_releases_a_rejected_revision_anew_from_the_first_step() -> None:
    scene = rejected()
    scene.cluster.counter.judge = holds
    scene.annotate(retry=f"{V2}@2026-11-24T07:00:00Z").run(seconds(10))
    assert scene.arms() == {V1: 95, V2: 5}
    assert scene.record(V2)["retriedAt"] == "2026-11-24T07:00:00Z"
    assert scene.status["lastAction"]["result"] == "Done"


def test_retry_acts_once_and_an_older_one_never() -> None:
    scene = rejected().annotate(retry=f"{V2}@2026-11-24T07:00:00Z").run(seconds(60))
    assert scene.status["phase"] == "RolledBack"
    assert scene.record(V2)["role"] == "Rejected"
    scene.annotate(retry=f"{V2}@2026-11-24T06:59:59Z").run(seconds(30))
    assert scene.record(V2)["role"] == "Rejected"
    assert "newer time" in scene.status["lastAction"]["message"]
    scene.annotate(retry=f"{V2}@2026-11-24T07:00:01Z").run(seconds(10))
    assert scene.record(V2).get("role", "Candidate") == "Candidate"


def test_retry_of_what_is_not_wanted_is_ignored() -> None:
    scene = rejected().wants(1).run(seconds(5)).annotate(retry=f"{V2}@2026-11-24T07:00:00Z").run(seconds(5))
    assert scene.record(V2)["role"] == "Rejected"
    assert "The spec asks for" in scene.status["lastAction"]["message"]


def test_an_annotation_that_stays_does_not_act_on_a_later_release_of_the_same_revision() -> None:
    scene = in_release(**STAYS).annotate(abort=V2).run(seconds(10))
    scene.annotate(retry=f"{V2}@2026-11-24T07:00:00Z").run(seconds(15))
    assert scene.arms() == {V1: 95, V2: 5}
    scene.annotate(abort=None).run(seconds(5))
    assert scene.arms() == {V1: 95, V2: 5}
    scene.annotate(abort=V2).run(seconds(5))
    assert scene.arms() == {V1: 100}


def test_a_promotion_that_was_answered_does_not_promote_the_revision_again_later() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(15)).annotate(promote=V2).run(seconds(30))
    assert scene.arms() == {V2: 100}
    scene.run(seconds(100)).wants(3).run(seconds(200))
    assert scene.arms() == {V3: 100}
    scene.cluster.counter.judge = holds
    scene.wants(2).run(seconds(30))
    assert scene.arms()[V3] > 0


def test_a_promoted_revision_is_taken_back_by_abort_in_its_watch() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(40))
    assert scene.arms() == {V2: 100}
    scene.annotate(abort=V2).run(seconds(5))
    assert scene.arms() == {V1: 100}
    assert scene.condition("Stalled")["reason"] == "Aborted"


def test_abort_of_the_watched_revision_does_not_hit_its_successor() -> None:
    scene = stable_scene(promotes, **WATCH).wants(2).run(seconds(40))
    scene.cluster.counter.judge = holds
    scene.annotate(abort=V2).wants(3)
    scene.run(seconds(15))
    assert scene.arms() == {V2: 95, V3: 5}


def test_the_last_answer_is_known_without_the_status() -> None:
    scene = in_release().annotate(abort=V2).run(seconds(10))
    told = scene.status["lastAction"]
    scene.api.edit("ModelDeployment", "fraud", {"status": None})
    scene.operator.settle()
    assert scene.status["lastAction"] == told
