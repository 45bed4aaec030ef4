"""A package says what its model takes and gives, and is loaded only as the very bytes that were pinned."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from misbehaving import NOT_FINITE, Misbehaving
from penstock_serving.jobs.package import package
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import matrix
from penstock_serving.model.load import load_model
from penstock_serving.model.signature_json import dump, load
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

RANDOM = np.random.default_rng(7)
ROWS = 200
FRAME: dict[str, np.ndarray] = {
    "amount": RANDOM.normal(size=ROWS),
    "count": RANDOM.integers(0, 9, ROWS),
    "member": RANDOM.random(ROWS) < 0.5,
    "country": RANDOM.choice(np.array(["DE", "FR", "IT"], dtype=object), ROWS),
}
LABELS = np.where(FRAME["amount"] + (FRAME["country"] == "DE") > 0, "yes", "no")


def mixed(handle_unknown: str) -> Any:
    """A pipeline over numbers and text; the imputer takes missing amounts."""
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer()), [0, 1, 2]), (OneHotEncoder(handle_unknown=handle_unknown), [3])
    )
    return make_pipeline(columns, LogisticRegression()).fit(matrix(FRAME), LABELS)


def test_the_signature_is_read_off_model_and_frame(tmp_path: Path) -> None:
    package(mixed("error"), FRAME, tmp_path / "model")
    signature = load((tmp_path / "model/signature.json").read_bytes())
    assert [(column.name, column.datatype) for column in signature.columns] == [
        ("amount", Datatype.FP64),
        ("count", Datatype.INT64),
        ("member", Datatype.BOOL),
        ("country", Datatype.BYTES),
    ]
    assert [column.takes_missing for column in signature.columns] == [True, True, True, False]
    assert signature.columns[3].categories == ("DE", "FR", "IT")
    assert not signature.columns[3].takes_unseen
    assert signature.classes == ("no", "yes")
    assert [(output.name, output.datatype, output.width) for output in signature.outputs] == [
        ("predict", Datatype.BYTES, 0),
        ("predict_proba", Datatype.FP64, 2),
        ("decision_function", Datatype.FP64, 0),
    ]
    assert signature.versions.scikit_learn == sklearn.__version__
    assert load(dump(signature)) == signature


@pytest.mark.parametrize(("handle_unknown", "takes"), [("error", False), ("ignore", True)])
def test_whether_unseen_categories_are_taken_is_asked_of_the_model(
    tmp_path: Path, handle_unknown: str, takes: bool
) -> None:
    package(mixed(handle_unknown), FRAME, tmp_path / "model")
    assert load((tmp_path / "model/signature.json").read_bytes()).columns[3].takes_unseen is takes


def test_histograms_tell_no_extreme_of_the_data(tmp_path: Path) -> None:
    package(mixed("error"), FRAME, tmp_path / "model")
    edges = load((tmp_path / "model/signature.json").read_bytes()).columns[0].edges
    assert 0 < len(edges) <= 19
    assert edges[0] > FRAME["amount"].min()
    assert edges[-1] < FRAME["amount"].max()


def test_a_model_that_takes_missing_values_says_so(tmp_path: Path) -> None:
    frame = {"a": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.random(ROWS))}
    model = HistGradientBoostingClassifier(max_iter=3).fit(matrix(frame), np.isnan(frame["a"]))
    package(model, frame, tmp_path / "model")
    signature = load((tmp_path / "model/signature.json").read_bytes())
    assert signature.columns[0].takes_missing
    assert signature.classes == (False, True)


def test_packaging_the_same_model_again_gives_the_same_digest(tmp_path: Path) -> None:
    model = mixed("error")
    assert package(model, FRAME, tmp_path / "a") == package(model, FRAME, tmp_path / "b")
    assert package(model, FRAME, tmp_path / "c", golden={k: v[:1] for k, v in FRAME.items()}) != tree_digest(
        tmp_path / "a"
    )


def test_golden_rows_may_be_synthetic(tmp_path: Path) -> None:
    synthetic = {"amount": [0.5], "count": [1], "member": [True], "country": ["DE"]}
    package(mixed("error"), FRAME, tmp_path / "model", golden=synthetic)
    golden = json.loads((tmp_path / "model/golden.json").read_text())
    assert [item["data"] for item in golden["request"]["inputs"]] == [[0.5], [1], [True], ["DE"]]


class Incomplete:
    """No estimator at all."""


@pytest.mark.parametrize(
    ("model", "frame", "words"),
    [
        (Incomplete(), {"a": np.ones(3)}, "no method predict"),
        (Misbehaving(), {"a": np.array([1.0, NOT_FINITE])}, "not finite"),
        (mixed("error"), {"a": np.ones(3), "b": np.ones(2)}, "different length"),
        (mixed("error"), {}, "1 to 2048 columns"),
        (mixed("error"), {"a": np.ones(0)}, "empty"),
        (mixed("error"), {"": np.ones(3)}, "a column's name is not"),
        (mixed("error"), {"a\n": np.ones(3)}, "a column's name is not"),
        (mixed("error"), {"a": np.array([1, "x", None], dtype=object)}, "column 'a' cannot be served"),
        (mixed("error"), {"a": np.ones((3, 2))}, "not one-dimensional"),
        (mixed("error"), {"a": np.array([1], dtype="m8[D]")}, "column 'a' cannot be served"),
    ],
)
def test_what_cannot_be_served_is_refused_at_packaging(
    tmp_path: Path, model: Any, frame: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadModelError, match=words):
        package(model, frame, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(BadModelError, match="is there already"):
        package(mixed("error"), FRAME, tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.fixture
def packaged(tmp_path: Path) -> tuple[Path, str]:
    root = tmp_path / "model"
    return root, package(LinearRegression().fit(np.eye(3), np.arange(3)), {n: np.ones(3) for n in "abc"}, root)


def test_a_package_loads_with_its_digest(packaged: tuple[Path, str]) -> None:
    root, digest = packaged
    model = load_model(root, digest)
    assert model.signature.names == ("a", "b", "c")
    np.testing.assert_allclose(model.method("predict")(np.eye(3)), np.arange(3), atol=1e-12)


class Bomb:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("digest", ["", "latest", "sha256:" + "0" * 64])
def test_a_hostile_pickle_that_was_not_pinned_never_runs(
    packaged: tuple[Path, str], digest: str, tmp_path: Path
) -> None:
    root, _ = packaged
    joblib.dump(Bomb(tmp_path / "ran"), root / "model.joblib")
    with pytest.raises(BadModelError) as refusal:
        load_model(root, digest)
    assert refusal.value.reason in {"DigestNotPinned", "DigestMismatch"}
    assert not (tmp_path / "ran").exists()


def test_the_pickle_of_that_test_does_run_when_opened(tmp_path: Path) -> None:
    joblib.load(Path(joblib.dump(Bomb(tmp_path / "ran"), tmp_path / "bomb")[0]))
    assert (tmp_path / "ran").exists()


def test_the_bytes_verified_are_the_bytes_loaded(
    packaged: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced between hashing and loading: what was hashed is what is opened."""
    root, digest = packaged

    def replaced(expected: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def and_then(content: bytes) -> Any:
            (root / "model.joblib").unlink()
            joblib.dump(Bomb(tmp_path / "ran"), root / "model.joblib")
            return expected(content)

        return and_then

    monkeypatch.setattr("penstock_serving.model.load.load_signature", replaced(load))
    model = load_model(root, digest)
    np.testing.assert_allclose(model.method("predict")(np.eye(3)), np.arange(3), atol=1e-12)
    assert not (tmp_path / "ran").exists()


def rewrite(root: Path, name: str, content: bytes) -> None:
    (root / name).write_bytes(content)


def edit(root: Path, **fields: Any) -> None:
    document = json.loads((root / "signature.json").read_text())
    rewrite(root, "signature.json", json.dumps(document | fields).encode())


SPOILED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no model": (lambda root: (root / "model.joblib").unlink(), "NotAModel", "no model.joblib"),
    "no signature": (lambda root: (root / "signature.json").unlink(), "NotAModel", "no signature.json"),
    "no golden rows": (lambda root: (root / "golden.json").unlink(), "NotAModel", "no golden.json"),
    "a folder deeper": (lambda root: shutil.move(root / "model.joblib", root / "deep"), "NotAModel", "at its top"),
    "text": (lambda root: rewrite(root, "model.joblib", b"hello"), "NotAModel", "cannot be loaded"),
    "empty": (lambda root: rewrite(root, "model.joblib", b""), "NotAModel", "cannot be loaded"),
    "cut short": (
        lambda root: rewrite(root, "model.joblib", (root / "model.joblib").read_bytes()[:-20]),
        "NotAModel",
        "cannot be loaded",
    ),
    "a dict": (
        lambda root: rewrite(root, "model.joblib", pickle.dumps({})),
        "NotAModel",
        "dict without the method predict",
    ),
    "a missing module": (
        lambda root: rewrite(root, "model.joblib", b"cno_such_module\nThing\n."),
        "NotAModel",
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "older scikit-learn, not compiled": (
        lambda root: (
            (root / "serving.json").unlink(),
            edit(root, versions={"python": "3.11", "scikit_learn": "1.2.2", "numpy": "2", "joblib": "1"}),
        ),
        "ScikitLearnMismatch",
        "made with scikit-learn 1.2.2, this image serves with " + sklearn.__version__,
    ),
    "signature is no JSON": (lambda root: rewrite(root, "signature.json", b"{"), "NotAModel", "not JSON"),
    "signature of another format": (lambda root: edit(root, format="x"), "NotAModel", "format is not"),
    "signature with more": (lambda root: edit(root, more=1), "NotAModel", "exactly"),
    "signature without columns": (lambda root: edit(root, columns=[]), "NotAModel", "columns"),
    "golden is no request": (lambda root: rewrite(root, "golden.json", b"[]"), "NotAModel", "golden.json"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_is_no_model_is_named(packaged: tuple[Path, str], case: str) -> None:
    root, _ = packaged
    spoil, reason, words = SPOILED[case]
    spoil(root)
    with pytest.raises(BadModelError) as refusal:
        load_model(root, tree_digest(root))
    assert refusal.value.reason == reason
    assert words in refusal.value.message


def test_another_patch_version_of_scikit_learn_is_taken(packaged: tuple[Path, str]) -> None:
    root, _ = packaged
    minor = ".".join(sklearn.__version__.split(".")[:2])
    edit(root, versions={"python": "3.11", "scikit_learn": f"{minor}.99", "numpy": "2", "joblib": "1"})
    assert load_model(root, tree_digest(root)).signature.versions.scikit_learn == f"{minor}.99"
