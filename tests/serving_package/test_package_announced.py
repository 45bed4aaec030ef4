"""What will serve a package is told by its fetch before the server does it, by the same code, in few words."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_serving import contract
from penstock_serving.compile.result import Compared, Proof, Versions
from penstock_serving.jobs.package import package
from penstock_serving.model.announcement import announcement
from penstock_serving.model.choice import Choice
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.files import PROOF_FILE, SERVING_FILE, model_directory
from penstock_serving.model.frame import matrix
from penstock_serving.model.load import load_model
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier

IRIS = load_iris()
MILLIMETRES = {f"f{at}": IRIS.data[:, at] * 10 for at in range(4)}
"""Unscaled, so that all three scores of an SGD classifier fall below where exp() ends: a case that the proof finds."""


def fitted(model: Any) -> Any:
    return model.fit(matrix(MILLIMETRES), IRIS.target)


def without(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def another_proof(root: Path) -> None:
    (root / PROOF_FILE).write_bytes((root / PROOF_FILE).read_bytes() + b"\n")


CASES: dict[str, tuple[Any, Callable[[Path], object], str, str]] = {
    "compiled": (LogisticRegression(max_iter=2000), lambda _root: None, "onnx", ""),
    "its proof failed": (
        SGDClassifier(loss="log_loss", random_state=0),
        lambda _root: None,
        "scikit-learn",
        "compiled predict_proba is not scikit-learn's on a row of the kind 'reference': its score differs by 0.667",
    ),
    "not compiled": (
        KNeighborsClassifier(3),
        lambda _root: None,
        "scikit-learn",
        "a KNeighborsClassifier is not compiled",
    ),
    "without a word on it": (
        LogisticRegression(max_iter=2000),
        without(SERVING_FILE),
        "scikit-learn",
        "the package was made before models were compiled; package the model again",
    ),
    "with another proof": (
        LogisticRegression(max_iter=2000),
        another_proof,
        "scikit-learn",
        "proof.json is not the file that the proof of the compiled form was made for; package the model again",
    ),
}


def fetched(tmp_path: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """The init container's process, and what is in its termination log, which is there already as in a pod."""
    log = tmp_path / "termination-log"
    log.write_bytes(b"")
    environment = {
        contract.ENV_TERMINATION_LOG: str(log),
        contract.ENV_MODEL_ROOT: str(tmp_path / "models"),
        contract.ENV_MODEL_URI: str(tmp_path / "package"),
        contract.ENV_MODEL_DIGEST: tree_digest(tmp_path / "package"),
    }
    ended = subprocess.run(
        [sys.executable, *(command or ("-m", "penstock_serving.fetch"))],
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended, log.read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_fetch_tells_what_will_serve_the_package_and_the_server_does_it(case: str, tmp_path: Path) -> None:
    model, change, backend, reason = CASES[case]
    package(fitted(model), MILLIMETRES, tmp_path / "package")
    change(tmp_path / "package")
    ended, log = fetched(tmp_path)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(log)
    assert (said["backend"], said.get("fallbackReason", "")) == (backend, reason)
    digest = tree_digest(tmp_path / "package")
    served = load_model(model_directory(tmp_path / "models", digest), digest)
    assert (served.backend, served.fallback_reason) == (backend, reason)
    assert ("proof" in said) == (served.proof is not None)


def test_it_tells_the_proof_of_a_compiled_form(tmp_path: Path) -> None:
    digest = package(fitted(LogisticRegression(max_iter=2000)), MILLIMETRES, tmp_path / "package")
    said = json.loads(fetched(tmp_path)[1])["proof"]
    served = load_model(tmp_path / "package", digest)
    assert served.proof is not None
    assert said["rows"] == sum(count for _, count in served.proof.rows) > 100
    assert {compared["method"] for compared in said["compared"]} >= {"predict", "predict_proba"}
    assert all(float(compared["largestDifference"]) < 1e-5 for compared in said["compared"])
    assert said["versions"]["onnxruntime"] == served.properties["proof_onnxruntime"]
    assert said["versions"]["scikitLearn"] == served.properties["proof_scikit_learn"]


def test_what_is_damaged_is_the_servers_to_refuse(tmp_path: Path) -> None:
    package(fitted(LogisticRegression(max_iter=2000)), MILLIMETRES, tmp_path / "package")
    (tmp_path / "package" / SERVING_FILE).write_text("{}")
    ended, log = fetched(tmp_path)
    assert (ended.returncode, log) == (0, b"")
    assert "serving.json" in ended.stdout


def test_telling_imports_nothing_that_only_serving_needs(tmp_path: Path) -> None:
    package(fitted(LogisticRegression(max_iter=2000)), MILLIMETRES, tmp_path / "package")
    program = """
import sys
from penstock_serving.fetch import main
code = main()
heavy = {"sklearn", "joblib", "scipy", "numpy", "onnx", "onnxruntime", "skops"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) if heavy else code)
"""
    ended, log = fetched(tmp_path, "-c", program)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(log)["backend"] == "onnx"


TEXT = st.text(st.characters(), max_size=2000)
LONG = st.sampled_from(["\0" * 2000, '"' * 2000, "\\" * 2000, "‽" * 2000, "\ud800" * 2000, "😀" * 2000])
COMPARED = st.builds(Compared, TEXT | LONG, st.floats(0, allow_infinity=False), TEXT | LONG, st.integers(0, 1 << 40))
VERSIONS = st.builds(Versions, *[TEXT | LONG] * 4)
PROOFS = st.builds(
    Proof,
    compared=st.lists(COMPARED, max_size=20).map(tuple),
    rows=st.lists(st.tuples(TEXT, st.integers(0, 1 << 40)), max_size=5).map(tuple),
    refused=st.just(0),
    splits=st.just(0),
    splits_visited=st.just(0),
    rows_independent=st.just(True),
    estimator_rows_independent=st.just(True),
    versions=VERSIONS,
)


@given(st.builds(Choice, st.just("onnx"), proof=PROOFS) | st.builds(Choice, st.just("scikit-learn"), TEXT | LONG))
def test_a_kubelet_keeps_all_of_it_whatever_a_package_says(choice: Choice) -> None:
    said = announcement(choice)
    assert len(said.encode()) < contract.MOST_LAST_WORDS
    assert said.isprintable()
    assert json.loads(said)["backend"] == choice.backend


def test_a_long_reason_keeps_its_beginning() -> None:
    reason = json.loads(announcement(Choice("scikit-learn", "the step is unknown, " * 100)))["fallbackReason"]
    assert reason.startswith("the step is unknown, the step")
    assert reason.endswith("…")
    assert 400 < len(reason.encode()) <= 500


def test_differences_are_told_as_the_metadata_tell_them() -> None:
    proof = Proof(
        (Compared("predict", 1.23456e-7, "reference", 2),), (("reference", 5),), 0, 0, 0,
        rows_independent=True, estimator_rows_independent=True, versions=Versions("1", "2", "3", "4"),
    )  # fmt: skip
    (compared,) = json.loads(announcement(Choice("onnx", proof=proof)))["proof"]["compared"]
    assert compared == {"method": "predict", "largestDifference": "1.23e-07", "on": "reference", "ties": 2}
    assert np.isclose(float(compared["largestDifference"]), 1.23456e-7, rtol=0.01)
