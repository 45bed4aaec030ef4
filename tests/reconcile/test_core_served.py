"""How a revision is served is read from its pods with care, recorded with the revision, shown, and told once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from core_bench.api_model import Document
from core_bench.cluster import Behaviour, holds, never_ready, promotes, saying
from core_bench.scenes import STAYS, Scene, new_scene, revision
from hypothesis import example, given
from hypothesis import strategies as st
from penstock.api.contract import MOST_LAST_WORDS
from penstock.api.modelrevision import Record
from penstock.api.served import Backend, Served
from penstock.reconcile.served import read_last_words, served_of
from penstock.world import Container, ContainerRole, Exit, Pod

V1, V2 = revision(1), revision(2)
WATCH = {"rollout": {"steps": [{"weight": 5}, {"weight": 50}], "watchFor": "1m"}}
VERSIONS = {"scikitLearn": "1.7.2", "onnx": "1.19.0", "onnxruntime": "1.23.2", "numpy": "2.3.4"}
COMPARED = {"method": "predict_proba", "largestDifference": "5.96e-08", "on": "at a split", "ties": 3}
PROOF = {"rows": 1234, "compared": [COMPARED], "versions": VERSIONS}
COMPILED = json.dumps({"backend": "onnx", "proof": PROOF})
WHY = "compiled predict_proba is not scikit-learn's on a row of the kind 'reference': its score differs by 0.667"
FALLBACK = json.dumps({"backend": "scikit-learn", "fallbackReason": WHY})
FOREIGN = "3 files fetched\n"


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("words", "backend", "reason"),
    [
        (COMPILED, "onnx", None),
        (FALLBACK, "scikit-learn", WHY),
        ('{"backend": "onnx"}', "onnx", None),
        ('{"backend": "onnx", "since": "a newer image"}', "onnx", None),
        ('{"backend": "scikit-learn", "fallbackReason": "a\\u001b[31m\\nb \\ud800"}', "scikit-learn", "a [31m b"),
        (FOREIGN, "unknown", "no JSON"),
        ("[" * 4000, "unknown", "no JSON"),
        ("9" * 4096, "unknown", "no JSON object"),
        ("[]", "unknown", "no JSON object"),
        ("{}", "unknown", "wrong in backend"),
        ('{"backend": "tensorflow"}', "unknown", "wrong in backend"),
        ('{"backend": 1, "fallbackReason": 2}', "unknown", "wrong in backend, fallbackReason"),
        ('{"backend": "onnx", "proof": {"rows": 1.5}}', "unknown", "wrong in proof"),
        (json.dumps({"backend": "onnx", "proof": PROOF | {"compared": [COMPARED] * 9}}), "unknown", "wrong in proof"),
        (json.dumps({"backend": "onnx", "proof": PROOF | {"rows": -1}}), "unknown", "wrong in proof"),
        (
            json.dumps({"backend": "onnx", "proof": PROOF | {"compared": [COMPARED | {"largestDifference": "NaN"}]}}),
            "unknown", "wrong in proof",
        ),
        (json.dumps({"backend": "onnx", "proof": PROOF | {"versions": {}}}), "unknown", "wrong in proof"),
        ('{"backend": "onnx"}' + " " * MOST_LAST_WORDS, "unknown", "longer than a kubelet keeps"),
        ('{"reason": "NoSpace", "kind": "Retry", "message": "full"}', "unknown", "wrong in backend"),
    ],
    ids=lambda value: None if value is None else value[:40],
)  # fmt: skip
def test_what_the_last_words_of_a_fetch_mean(words: str, backend: str, reason: str | None) -> None:
    served = read_last_words(words)
    assert served.backend == backend
    if backend == "unknown":
        assert served.fallback_reason == f"What its fetch container said when it was done is {reason}."
    else:
        assert served.fallback_reason == reason


def test_a_proof_is_read_whole() -> None:
    served = read_last_words(COMPILED)
    assert served.proof is not None
    assert served.model_dump(mode="json", by_alias=True, exclude_none=True)["proof"] == PROOF


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=700),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {"backend": st.sampled_from(["onnx", "scikit-learn", "unknown", "x"])},
    optional={
        "fallbackReason": st.text(st.characters(), max_size=700) | JSON,
        "proof": st.fixed_dictionaries(
            {
                "rows": st.integers(),
                "compared": st.lists(
                    st.fixed_dictionaries(
                        {
                            "method": st.text(st.characters(), max_size=70),
                            "largestDifference": st.floats().map(lambda it: f"{it:.3g}"),
                            "on": st.text(st.characters(), max_size=70),
                        }
                    ),
                    max_size=3,
                ),
                "versions": st.just(VERSIONS),
            }
        )
        | JSON,
    },
)


@given(st.text(st.characters(), max_size=100) | JSON.map(json.dumps) | FIELDS.map(json.dumps))
@example("{" * 4096)
@example('{"backend": {"backend": NaN}}')
def test_no_words_do_harm_and_what_is_stored_comes_back_the_same(words: str) -> None:
    served = read_last_words(words)
    written = Record(served=served).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    stored = json.loads(json.dumps(written, allow_nan=False).encode())
    assert Record.model_validate(stored, by_alias=True, by_name=False).served == served
    assert all(text.isprintable() and len(text.encode()) <= 512 for text in texts(written))
    assert len(json.dumps(written)) < 3 * MOST_LAST_WORDS


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)


def pod(name: str, words: str, *, age: float = 0, ready: bool = True, deleting: bool = False, code: int = 0) -> Pod:
    made_at = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC) - seconds(int(age))
    fetch = Container("fetch", ContainerRole.INIT, False, "", "", 1, Exit(code, "Completed", words, None, None))
    server = Container("server", ContainerRole.MAIN, ready, "", "", 1, Exit(0, "Completed", COMPILED, None, None))
    return Pod(name, name, V1, "", "Running", ready, deleting, made_at, "n1", "", "", (fetch, server))


def test_only_ready_pods_count_the_newest_first_and_what_can_be_read_before_what_cannot() -> None:
    assert served_of([]) is None
    assert served_of([pod("a", "")]) is None
    assert served_of([pod("a", COMPILED, ready=False), pod("b", COMPILED, deleting=True)]) is None
    assert served_of([pod("a", FALLBACK, code=75)]) is None
    for pods in ([pod("a", FALLBACK, age=9), pod("b", COMPILED)], [pod("a", COMPILED), pod("b", FALLBACK, age=9)]):
        assert backend_of(served_of(pods)) is Backend.ONNX
        assert backend_of(served_of(reversed(pods))) is Backend.ONNX
    assert backend_of(served_of([pod("a", FALLBACK, age=9), pod("b", FOREIGN)])) is Backend.SCIKIT_LEARN
    assert backend_of(served_of([pod("a", FOREIGN), pod("b", "")])) is Backend.UNKNOWN


def backend_of(served: Served | None) -> Backend:
    assert served is not None
    return served.backend


def scene_of(first: str, judge: Any = holds, **spec: Any) -> Scene:
    """Version 1 serves, and its fetch has said this."""
    return watching(new_scene(judge, **spec), V1, saying(first)).run(seconds(20))


def watching(scene: Scene, name: str, behaviour: Behaviour) -> Scene:
    scene.cluster.behaviour[name] = behaviour
    return scene


def told(scene: Scene) -> list[tuple[str, str]]:
    found = [(it["reason"], it["note"]) for it in scene.api.events.values()]
    return sorted(it for it in found if it[0].startswith("Served"))


def arm(scene: Scene, name: str) -> tuple[str | None, str | None]:
    shown = scene.status[name]
    return shown.get("backend"), shown.get("fallbackReason")


def test_a_compiled_model_is_recorded_with_its_proof_shown_and_told() -> None:
    scene = scene_of(COMPILED)
    assert scene.record(V1)["served"] == {"backend": "onnx", "proof": PROOF}
    assert arm(scene, "stable") == ("onnx", None)
    assert told(scene) == [
        ("ServedByOnnx", f"{V1} is served by ONNX Runtime; its ModelRevision tells what was proved"),
    ]
    assert [it["type"] for it in scene.api.events.values() if it["reason"] == "ServedByOnnx"] == ["Normal"]


def test_a_candidate_says_why_it_is_not_compiled_and_each_revision_is_told_once() -> None:
    scene = watching(scene_of(COMPILED, promotes), V2, saying(FALLBACK)).wants(2).run(seconds(10))
    assert arm(scene, "stable") == ("onnx", None)
    assert arm(scene, "candidate") == ("scikit-learn", WHY)
    scene.run(seconds(60))
    assert scene.status["stable"]["revision"] == V2
    assert arm(scene, "stable") == ("scikit-learn", WHY)
    assert scene.record(V2)["served"] == {"backend": "scikit-learn", "fallbackReason": WHY}
    assert [reason for reason, _ in told(scene)] == ["ServedByOnnx", "ServedByScikitLearn"]
    assert told(scene)[1] == ("ServedByScikitLearn", f"{V2} is served by scikit-learn: {WHY}")


def test_a_long_reason_is_whole_in_the_revision_and_cut_in_the_deployment() -> None:
    reason = "the step is unknown, " * 20
    scene = scene_of(json.dumps({"backend": "scikit-learn", "fallbackReason": reason}))
    assert scene.record(V1)["served"]["fallbackReason"] == reason.strip()
    _, shown = arm(scene, "stable")
    assert shown is not None
    assert shown.endswith("…")
    assert reason.startswith(shown[:-1])
    assert len(shown.encode()) <= 200


@pytest.mark.parametrize("words", [COMPILED, FALLBACK, FOREIGN, ""])
def test_after_convergence_nobody_writes_of_it(words: str) -> None:
    scene = scene_of(words).run(seconds(60))
    writes = scene.api.writes
    scene.run(seconds(120))
    assert scene.api.writes == writes


@pytest.mark.parametrize("words", ["", None])
def test_pods_of_an_older_image_show_nothing(words: str | None) -> None:
    scene = new_scene().run(seconds(20)) if words is None else scene_of(words)
    assert scene.status["phase"] == "Stable"
    assert "served" not in scene.record(V1)
    assert arm(scene, "stable") == (None, None)
    assert told(scene) == []


def test_nothing_is_said_of_a_candidate_that_is_not_ready() -> None:
    def fetched_only(pod: Document, now: datetime) -> Document:
        return saying(FALLBACK)(pod, now) | never_ready(pod, now)

    scene = watching(scene_of(COMPILED, **STAYS), V2, fetched_only).wants(2).run(seconds(30))
    assert arm(scene, "candidate") == (None, None)
    assert "served" not in scene.record(V2)


def test_foreign_words_hold_up_nothing_and_give_way_to_words_that_can_be_read() -> None:
    scene = scene_of(FOREIGN)
    assert scene.status["phase"] == "Stable"
    assert arm(scene, "stable") == ("unknown", "What its fetch container said when it was done is no JSON.")
    assert told(scene) == []
    watching(scene, V1, saying(COMPILED)).run(seconds(10))
    assert arm(scene, "stable") == ("onnx", None)
    watching(scene, V1, saying(FOREIGN)).run(seconds(10))
    assert arm(scene, "stable") == ("onnx", None)


def test_a_blanked_status_shows_it_again_though_no_pod_says_it_any_more() -> None:
    scene = watching(scene_of(FALLBACK), V1, saying(""))
    scene.api.edit("ModelDeployment", "fraud", {"status": None})
    scene.run(seconds(10))
    assert arm(scene, "stable") == ("scikit-learn", WHY)
    assert len(told(scene)) == 1


def test_a_revision_that_comes_back_is_not_told_of_again() -> None:
    scene = watching(scene_of(FALLBACK, promotes, **WATCH), V2, saying(COMPILED)).wants(2).run(seconds(40))
    assert scene.status["stable"]["revision"] == V2
    scene.api.events.clear()  # as the API server does after an hour
    scene.annotate(abort=V2).run(seconds(10))
    assert scene.status["stable"]["revision"] == V1
    assert arm(scene, "stable") == ("scikit-learn", WHY)
    assert told(scene) == []


def test_an_image_that_changed_under_its_tag_is_told_by_its_newest_pod_and_comes_to_rest() -> None:
    def by_age(pod: Document, now: datetime) -> Document:
        return saying(COMPILED if int(pod["metadata"]["uid"][4:]) <= last else FALLBACK)(pod, now)

    last = 10**6
    scene = watching(new_scene(), V1, by_age).run(seconds(20))
    assert arm(scene, "stable") == ("onnx", None)
    last = scene.cluster.made
    scene.edit(runtime={"replicas": 6}).run(seconds(20))
    assert arm(scene, "stable") == ("scikit-learn", WHY)
    assert [reason for reason, _ in told(scene)] == ["ServedByOnnx", "ServedByScikitLearn"]
    writes = scene.api.writes
    scene.run(seconds(120))
    assert scene.api.writes == writes
