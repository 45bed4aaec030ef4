"""Six versions of one real model: a tumour classifier on scikit-learn's bundled breast-cancer data."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from penstock_serving.jobs.package import package
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.files import MODEL_FILE
from penstock_serving.model.frame import matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

NOT_MEASURED = "concavity_error"
"""The laboratory leaves this one out for some patients; the data themselves are complete, so the gaps are drawn."""
SHARE_NOT_MEASURED = 0.4
COLUMNS = ("worst_radius", "worst_concave_points", "worst_texture", "mean_concavity", NOT_MEASURED)
SEED = 20
ROWS_TO_SEND = 150

Frame = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Version:
    """One packaged model: `archive` is what is fetched, `digest` what the deployment pins."""

    name: str
    story: str
    archive: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Trained:
    """The versions in the order of their release, and request bodies of one held-out row each."""

    versions: tuple[Version, ...]
    requests: tuple[str, ...]


def train(folder: Path) -> Trained:
    """Fit and package all of them under `folder`."""
    known, held, labels, held_labels = _data()
    shallow = make_pipeline(SimpleImputer(), DecisionTreeClassifier(max_depth=2, random_state=SEED))
    imputed = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    complete = {name: column[~np.isnan(known[NOT_MEASURED])] for name, column in known.items()}
    complete_labels = labels[~np.isnan(known[NOT_MEASURED])]
    unprepared = make_pipeline(StandardScaler(), LogisticRegression())
    renamed = {name.replace("worst_radius", "radius_worst"): column for name, column in known.items()}

    def fitted(model: Any, frame: Frame, target: NDArray[np.int64]) -> Any:
        return model.fit(matrix(frame), target)

    def right(model: Any) -> str:
        return f"{100 * model.score(matrix(held), held_labels):.1f} % right on held-out rows"

    v1 = fitted(shallow, known, labels)
    v2 = fitted(imputed, known, labels)
    made = [
        _packaged(folder, "v1", f"a tree of two levels, {right(v1)}", v1, known),
        _packaged(folder, "v2", f"logistic regression, {right(v2)}", v2, known),
        _packaged(
            folder,
            "v3",
            "trained on complete rows only, so it cannot take a missing value",
            fitted(unprepared, complete, complete_labels),
            complete,
        ),
        _packaged(
            folder,
            "v4",
            "wants radius_worst, which callers send as worst_radius",
            fitted(clone(imputed), renamed, labels),
            renamed,
        ),
        _damaged(folder, "v5", "a tree damaged on its way: one branch leads out of memory", known, labels),
    ]
    v6 = Version("v6", "the archive is not the one whose digest was pinned", made[0].archive, made[1].digest)
    return Trained((*made, v6), tuple(_requests(held)))


def _data() -> tuple[Frame, Frame, NDArray[np.int64], NDArray[np.int64]]:
    data = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    rows = data.data[:, [names.index(column) for column in COLUMNS]].copy()
    rows[np.random.default_rng(SEED).random(len(rows)) < SHARE_NOT_MEASURED, COLUMNS.index(NOT_MEASURED)] = np.nan
    known, held, labels, held_labels = train_test_split(rows, data.target, test_size=0.4, random_state=SEED)
    return _frame(known), _frame(held), labels, held_labels


def _frame(rows: NDArray[np.float64]) -> Frame:
    return dict(zip(COLUMNS, rows.T, strict=True))


def _packaged(folder: Path, name: str, story: str, model: Any, frame: Frame, golden: Frame | None = None) -> Version:
    digest = package(model, frame, folder / name, golden)
    return Version(name, story, _archive(folder / name), digest)


def _damaged(folder: Path, name: str, story: str, frame: Frame, labels: NDArray[np.int64]) -> Version:
    """Packaged in good health; then the branch of the large tumours is led astray, and the damaged file pinned."""
    model = DecisionTreeClassifier(max_depth=3, random_state=SEED).fit(matrix(frame), labels)
    root = model.tree_
    column, border = root.feature[0], root.threshold[0]
    lower = frame[COLUMNS[column]] <= border
    package(model, frame, folder / name, {name: values[lower] for name, values in frame.items()})
    state = root.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"]["right_child"][0] = 1 << 40
    root.__setstate__(state)
    joblib.dump(model, folder / name / MODEL_FILE)
    return Version(name, story, _archive(folder / name), tree_digest(folder / name))


def _archive(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(directory.iterdir()):
            archive.add(path, path.name)
    return buffer.getvalue()


def _requests(frame: Frame) -> Iterator[str]:
    for row in range(ROWS_TO_SEND):
        values = {name: None if np.isnan(column[row]) else float(column[row]) for name, column in frame.items()}
        inputs = [{"name": name, "datatype": "FP64", "shape": [1], "data": [value]} for name, value in values.items()]
        yield json.dumps({"inputs": inputs})
