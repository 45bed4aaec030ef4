"""A renewed proof counts for exactly what it was made for; what is not one is as if it were not there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_serving.compile import proof_json
from penstock_serving.compile.result import Compared, Proof, Unproven, Versions
from penstock_serving.jobs.package import package
from penstock_serving.model import trust
from penstock_serving.model.choice import choose, outdated, recorded
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import PROOF_FILE
from penstock_serving.model.verified import verified
from penstock_serving.renewal import renewing
from penstock_serving.renewal.record import MOST_BYTES, Bound, Renewal, bound, dump, installed, keep, kept, load, place
from penstock_serving.renewal.renewing import Allowance, Outdated, renew

from tests.serving_renewal.renewed import FRAME, UNRENEWED, Fetched, logistic, packaged, spoiled

PROOF = Proof(
    (Compared("predict", 1e-9, "at a split", 0),), (("at a split", 5),), 0, 0, 0,
    rows_independent=True, estimator_rows_independent=True, versions=installed(),
)  # fmt: skip
AMPLE = Allowance(60, float("inf"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    """A package, fetched, with a renewed proof beside it."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(packaged(folder), folder / "models" / "new")
    fetched = Fetched(folder)
    (folder / "models" / "new").rename(fetched.directory)
    with verified(fetched.directory, fetched.digest) as files:
        keep(fetched.directory, Renewal(bound(files, recorded(files)), PROOF))
    return fetched


@pytest.fixture
def fetched(made: Fetched, tmp_path: Path) -> Fetched:
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    return Fetched(tmp_path)


def chosen(fetched: Fetched) -> tuple[str, str]:
    with verified(fetched.directory, fetched.digest) as files:
        choice = choose(files, recorded(files))
    return choice.backend, choice.fallback_reason


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    return lambda path: spoiled(path, change)


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILED: dict[str, Callable[[Path], object]] = {
    "of another package": changed(lambda record: record["bound"].update(digest="sha256:" + "0" * 64)),
    "of another compiled form": changed(lambda record: record["bound"].update(onnx="0" * 64)),
    "of another estimator": changed(lambda record: record["bound"].update(estimator="0" * 64)),
    "of another packaged proof": changed(lambda record: record["bound"].update(proof="0" * 64)),
    "of another ONNX Runtime": changed(lambda record: record["bound"]["versions"].update(onnxruntime="1.2.3")),
    "of another scikit-learn": changed(lambda record: record["bound"]["versions"].update(scikit_learn="1.2.3")),
    "of another numpy": changed(lambda record: record["bound"]["versions"].update(numpy="1.2.3")),
    "of another onnx": changed(lambda record: record["bound"]["versions"].update(onnx="1.2.3")),
    "bound to less": changed(lambda record: record["bound"].pop("proof")),
    "of another format": changed(lambda record: record.update(format="penstock.dev/renewal/v2")),
    "with more in it": changed(lambda record: record.update(trusted=True)),
    "that says both": changed(lambda record: record["result"].update(unproven="no")),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "no JSON": lambda path: path.write_bytes(b"\xff\xfe"),
    "nested": lambda path: path.write_bytes(b"[" * 100_000),
    "huge": lambda path: path.write_bytes(path.read_bytes() + b" " * MOST_BYTES),
    "a link": linked,
    "a folder": a_folder,
    "absent": Path.unlink,
}


def test_a_record_that_matches_counts(fetched: Fetched) -> None:
    assert chosen(fetched) == ("onnx", "")


@pytest.mark.parametrize("case", SPOILED)
def test_a_record_that_is_none_of_this_package_here_is_as_if_it_were_not_there(case: str, fetched: Fetched) -> None:
    SPOILED[case](fetched.record)
    backend, reason = chosen(fetched)
    assert backend == "scikit-learn"
    assert reason.startswith(UNRENEWED)


def test_why_it_did_not_hold_is_why_scikit_learn_serves(fetched: Fetched) -> None:
    spoiled(fetched.record, lambda record: record.update(result={"unproven": "its label is another"}))
    assert chosen(fetched) == ("scikit-learn", "its label is another")


def test_what_lies_beside_a_package_does_not_take_its_own_proof_from_it(tmp_path: Path) -> None:
    package(logistic(), FRAME, tmp_path / "package")
    directory, digest = tmp_path / "package", tree_digest(tmp_path / "package")
    with verified(directory, digest) as files:
        serving = recorded(files)
        assert outdated(files, serving) is None
        keep(directory, Renewal(bound(files, serving), Unproven("somebody says so")))
        assert choose(files, serving).backend == "onnx"


TEXT = st.text(max_size=60)
VERSIONS = st.builds(Versions, *[TEXT] * 4)
RESULTS = st.builds(Unproven, TEXT) | st.builds(
    Proof,
    compared=st.lists(st.builds(Compared, TEXT, st.floats(0, 1e300), TEXT, st.integers(0, 9))).map(tuple),
    rows=st.lists(st.tuples(TEXT, st.integers(0, 1 << 40))).map(tuple),
    refused=st.integers(0, 9),
    splits=st.integers(0, 9),
    splits_visited=st.integers(0, 9),
    rows_independent=st.booleans(),
    estimator_rows_independent=st.booleans(),
    versions=VERSIONS,
)


@given(st.builds(Renewal, st.builds(Bound, TEXT, TEXT, TEXT, TEXT, VERSIONS), RESULTS))
def test_a_record_is_read_as_it_was_written(renewal: Renewal) -> None:
    assert load(dump(renewal)) == renewal


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(BadModelError):
        load(content)


def answered(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(renewing, "run", lambda *_: {PROOF_FILE: content})


def renewed(fetched: Fetched, allowance: Allowance = AMPLE) -> Renewal:
    fetched.record.unlink()
    with verified(fetched.directory, fetched.digest) as files:
        serving = recorded(files)
        proof = outdated(files, serving)
        assert proof is not None
        renew(Outdated(files, serving, proof), trust.NOTHING_MORE, allowance, lambda _: None)
    found = kept(fetched.directory)
    assert found is not None
    return found


ANSWERS = {
    "nothing": (b"", "proof.json is damaged: the content is not JSON text"),
    "no proof": (b"{}", "proof.json is damaged"),
    "of other versions": (
        proof_json.dump(Proof(PROOF.compared, PROOF.rows, 0, 0, 0, True, True, Versions("1", "1", "1", "1"))),
        "proved with other versions than are installed here",
    ),
    "half a character": (json.dumps({"unproven": "\ud800"}).encode(), "answered with what is no text"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_comes_out_of_the_sandbox_is_data_and_is_checked(
    case: str, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, why = ANSWERS[case]
    answered(monkeypatch, content)
    result = renewed(fetched).result
    assert isinstance(result, Unproven)
    assert why in result.reason


def test_rows_that_depended_on_each_other_at_packaging_are_not_batched(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, proof_json.dump(PROOF))
    result = renewed(fetched).result
    assert isinstance(result, Proof)
    assert result.rows_independent
    fetched.record.touch()
    with verified(fetched.directory, fetched.digest) as files:
        serving = recorded(files)
        dependent = Proof(PROOF.compared, PROOF.rows, 0, 0, 0, False, True, PROOF.versions)
        place(fetched.directory).unlink()
        renew(Outdated(files, serving, dependent), trust.NOTHING_MORE, AMPLE, lambda _: None)
    found = kept(fetched.directory)
    assert found is not None
    assert isinstance(found.result, Proof)
    assert not found.result.rows_independent


def test_an_estimator_that_the_container_cannot_hold_is_not_opened(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "run", pytest.fail)
    result = renewed(fetched, Allowance(60, 64 << 20)).result
    assert isinstance(result, Unproven)
    assert "the container that fetches has 64 MiB; raise its memory limit (spec.runtime.resources)" in result.reason
