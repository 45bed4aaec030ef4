"""The safest way that a package offers is taken, why a safer one was not is kept, and hostile artifacts do nothing."""

import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from canaries import Canary, PickledCanary
from penstock_serving import contract
from penstock_serving.jobs.contents import Reference, Source, contents
from penstock_serving.jobs.package import package, write
from penstock_serving.model import trust
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.estimator import foreign_types, open_skops
from penstock_serving.model.files import MODEL_FILE, ONNX_FILE, PROOF_FILE, SERVING_FILE, SKOPS_FILE
from penstock_serving.model.frame import matrix
from penstock_serving.model.load import load_model
from penstock_serving.model.signature_json import load as load_signature
from penstock_serving.model.trust import Mismatch, Trust
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

RANDOM = np.random.default_rng(5)
FRAME = {name: RANDOM.normal(size=120) for name in "abc"}
LABELS = FRAME["a"] + FRAME["b"] > 0


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix(FRAME), LABELS)


def uncompiled() -> Any:
    """A pipeline with a step that no compiler knows."""
    return make_pipeline(FunctionTransformer(np.tanh), KNeighborsClassifier(3)).fit(matrix(FRAME), LABELS)


def in_skops(model: Any, directory: Path) -> str:
    content = skops.io.dumps(model)
    return write(directory, contents(Source(model, SKOPS_FILE, content), Reference(FRAME)).files)


def test_a_proved_compiled_form_serves_and_no_pickle_is_opened(tmp_path: Path) -> None:
    package(logistic(), FRAME, tmp_path / "model")
    joblib_file = tmp_path / "model" / MODEL_FILE
    serving = json.loads((tmp_path / "model" / SERVING_FILE).read_text())
    joblib.dump(PickledCanary(tmp_path / "ran"), joblib_file)
    serving["compiled"]["estimator"] = hashlib.sha256(joblib_file.read_bytes()).hexdigest()
    (tmp_path / "model" / SERVING_FILE).write_text(json.dumps(serving))
    model = load_model(tmp_path / "model", tree_digest(tmp_path / "model"))
    assert model.backend == "onnx"
    assert model.fallback_reason == ""
    assert model.properties["backend"] == "onnx"
    assert not (tmp_path / "ran").exists()
    np.testing.assert_array_equal(model.method("predict")(matrix(FRAME)), logistic().predict(matrix(FRAME)))


def test_neither_scikit_learn_nor_joblib_is_imported_for_a_compiled_model(tmp_path: Path) -> None:
    digest = package(logistic(), FRAME, tmp_path / "model")
    code = """
import sys
from pathlib import Path
import numpy as np
from penstock_serving.model.load import load_model
model = load_model(Path(sys.argv[1]), sys.argv[2])
model.method("predict_proba")(np.zeros((1, 3)))
heavy = {"sklearn", "joblib", "scipy", "pandas", "onnx", "skops"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) if heavy or model.backend != "onnx" else 0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model"), digest], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr


def spoiled(root: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((root / name).read_text())
    change(document)
    (root / name).write_text(json.dumps(document))


def rebound(root: Path) -> None:
    """Let serving.json name the proof as it is now."""
    sha256 = hashlib.sha256((root / PROOF_FILE).read_bytes()).hexdigest()
    spoiled(root, SERVING_FILE, lambda serving: serving["compiled"].update(proof=sha256))


FALLBACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another estimator than was proved": (
        lambda root: joblib.dump(logistic().set_params(logisticregression__C=2.0), root / MODEL_FILE),
        "model.joblib is not the file that the proof",
    ),
    "another compiled form": (
        lambda root: (root / ONNX_FILE).write_bytes((root / ONNX_FILE).read_bytes() + b"\0"),
        "model.onnx is not the file that the proof",
    ),
    "another proof": (
        lambda root: (root / PROOF_FILE).write_bytes((root / PROOF_FILE).read_bytes() + b"\n"),
        "proof.json is not the file that the proof",
    ),
    "proved with another ONNX Runtime": (
        lambda root: (
            spoiled(root, PROOF_FILE, lambda proof: proof["proven"]["versions"].update(onnxruntime="1.2.3")),
            rebound(root),
        ),
        "proved with ONNX Runtime 1.2.3, this image has",
    ),
    "made before models were compiled": (
        lambda root: (root / SERVING_FILE).unlink(),
        "made before models were compiled",
    ),
}


@pytest.mark.parametrize("case", FALLBACKS)
def test_the_estimator_serves_and_says_why_when_the_proof_says_nothing_about_it(tmp_path: Path, case: str) -> None:
    package(logistic(), FRAME, tmp_path / "model")
    spoil, why = FALLBACKS[case]
    spoil(tmp_path / "model")
    model = load_model(tmp_path / "model", tree_digest(tmp_path / "model"))
    assert model.backend == "scikit-learn"
    assert why in model.fallback_reason
    assert model.properties["fallback_reason"] == model.fallback_reason


def test_what_cannot_be_compiled_is_served_by_scikit_learn_and_says_why(tmp_path: Path) -> None:
    digest = package(uncompiled(), FRAME, tmp_path / "model")
    confined: list[str] = []
    model = load_model(tmp_path / "model", digest, before_unpickling=lambda: confined.append("now"))
    assert model.backend == "scikit-learn"
    assert model.fallback_reason
    assert confined == ["now"]
    np.testing.assert_array_equal(model.method("predict")(matrix(FRAME)), uncompiled().predict(matrix(FRAME)))


def test_a_file_written_into_after_it_was_verified_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file, not one put in its place: what is in memory when it is opened is hashed once more."""
    digest = package(uncompiled(), FRAME, tmp_path / "model")
    file = tmp_path / "model" / MODEL_FILE
    hostile = io.BytesIO()
    joblib.dump(PickledCanary(tmp_path / "ran"), hostile)

    def written_into(content: bytes) -> Any:
        with file.open("r+b") as out:
            out.write(hostile.getvalue().ljust(file.stat().st_size, b"\0"))
        return load_signature(content)

    monkeypatch.setattr("penstock_serving.model.load.load_signature", written_into)
    with pytest.raises(BadModelError, match="changed after its digest was verified") as refusal:
        load_model(tmp_path / "model", digest)
    assert refusal.value.reason == contract.REASON_DIGEST_MISMATCH
    assert not (tmp_path / "ran").exists()


def test_skops_is_loaded_without_a_pickle(tmp_path: Path) -> None:
    digest = in_skops(uncompiled_without_functions(), tmp_path / "model")
    model = load_model(tmp_path / "model", digest, Trust(KNN_TYPES), before_unpickling=pytest.fail)
    assert model.backend == "scikit-learn"
    expected = uncompiled_without_functions().predict(matrix(FRAME))
    np.testing.assert_array_equal(model.method("predict")(matrix(FRAME)), expected)


KNN_TYPES = ("sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._kd_tree.KDTree")


def uncompiled_without_functions() -> Any:
    return KNeighborsClassifier(3, algorithm="kd_tree").fit(matrix(FRAME), LABELS)


def test_types_that_nobody_trusts_are_refused_by_name(tmp_path: Path) -> None:
    content = skops.io.dumps(uncompiled_without_functions())
    foreign = foreign_types(content)
    assert foreign
    with pytest.raises(BadModelError, match=foreign[0].replace(".", r"\.")) as refusal:
        open_skops(content, ())
    assert refusal.value.reason == contract.REASON_FORBIDDEN
    assert "PENSTOCK_SKOPS_TRUSTED" in refusal.value.message


def hostile_skops(canary: Path, **claims: Any) -> bytes:
    """A skops file with an object that makes a file when it is built, and that claims this to be trusted."""
    honest = io.BytesIO(skops.io.dumps(Canary(str(canary))))
    out = io.BytesIO()
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member == "schema.json":
                content = json.dumps(json.loads(content) | claims).encode()
            target.writestr(member, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"trusted": ["canaries.Canary"]},
        {"trusted": True},
        {"__trusted__": ["canaries.Canary"], "trusted_types": ["canaries.Canary"]},
    ],
)
def test_an_artifact_that_names_its_own_trusted_types_is_not_believed(tmp_path: Path, claims: dict[str, Any]) -> None:
    content = hostile_skops(tmp_path / "ran", **claims)
    with pytest.raises(BadModelError, match=r"nobody trusts: canaries\.Canary") as refusal:
        open_skops(content, ())
    assert refusal.value.reason == contract.REASON_FORBIDDEN
    assert not (tmp_path / "ran").exists()
    open_skops(content, ("canaries.Canary",))
    assert (tmp_path / "ran").exists(), "the payload of this test does nothing"


def test_a_skops_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(1 << 20))
    bomb = out.getvalue().replace(struct.pack("<I", 1 << 20), struct.pack("<I", 3 << 30))
    with pytest.raises(BadModelError) as refusal:
        open_skops(bomb, ())
    assert refusal.value.reason == contract.REASON_TOO_LARGE


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"hello", b"\x80\x04K\x01."])
def test_what_is_no_skops_file_is_named(content: bytes) -> None:
    with pytest.raises(BadModelError, match=r"model\.skops cannot be loaded"):
        open_skops(content, ())


def test_trust_is_read_from_the_deployers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trust.from_environment() == Trust()
    monkeypatch.setenv("PENSTOCK_SKOPS_TRUSTED", "numpy.dtype, my.module.Class")
    monkeypatch.setenv("PENSTOCK_SCIKIT_LEARN_MISMATCH", "allow")
    assert trust.from_environment() == Trust(("numpy.dtype", "my.module.Class"), Mismatch.ALLOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PENSTOCK_SKOPS_TRUSTED", "*"),
        ("PENSTOCK_SKOPS_TRUSTED", "numpy"),
        ("PENSTOCK_SKOPS_TRUSTED", "a.b;c.d"),
        ("PENSTOCK_SCIKIT_LEARN_MISMATCH", "yes"),
    ],
)
def test_trust_in_everything_cannot_be_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadModelError, match=name) as refusal:
        trust.from_environment()
    assert refusal.value.reason == contract.REASON_MISCONFIGURED


def test_another_minor_version_of_scikit_learn_is_loaded_only_where_the_deployer_takes_the_risk(tmp_path: Path) -> None:
    package(uncompiled(), FRAME, tmp_path / "model")
    spoiled(tmp_path / "model", "signature.json", lambda found: found["versions"].update(scikit_learn="1.2.2"))
    digest = tree_digest(tmp_path / "model")
    with pytest.raises(BadModelError) as refusal:
        load_model(tmp_path / "model", digest)
    assert refusal.value.reason == contract.REASON_VERSION_MISMATCH
    assert load_model(tmp_path / "model", digest, Trust(mismatch=Mismatch.ALLOW)).backend == "scikit-learn"
