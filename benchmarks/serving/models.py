"""The models that are served, in the forms that the servers take."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from penstock_serving.jobs.package import package
from penstock_serving.model.load import load_model
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

BODIES = 512


@dataclass(frozen=True)
class Case:
    """A model and its files: our package's root and digest, the joblib, the bodies of v2 and of BentoML; what we serve
    by, and the number of its columns."""

    name: str
    root: Path
    digest: str
    joblib: Path
    bodies: Path
    bento_bodies: Path
    backend: str
    columns: int


def estimators() -> dict[str, tuple[Any, int]]:
    """Unfitted estimators by name, and their number of columns."""
    return {
        "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), 4),
        "forest": (RandomForestClassifier(100, max_depth=10, random_state=0), 20),
        "boosting": (make_pipeline(StandardScaler(), HistGradientBoostingClassifier(random_state=0)), 20),
        # two that are not compiled: one whose own call is short, and one whose takes a millisecond and a half, but whose
        # labels the lane finds by itself
        "function": (make_pipeline(FunctionTransformer(np.arctan), StandardScaler(), LogisticRegression()), 4),
        "neighbours": (make_pipeline(StandardScaler(), KNeighborsClassifier()), 4),
    }


def make(name: str, folder: Path) -> Case:
    """Fit, package and write one of the estimators below `folder`."""
    estimator, columns = estimators()[name]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, columns))
    y = (X[:, :2].sum(axis=1) > 0).astype(int) + (X[:, 3] > 1)
    estimator.fit(X, y)
    root = folder / name.replace(" ", "-")
    root.mkdir(parents=True)
    digest = package(estimator, {f"c{at}": X[:, at] for at in range(columns)}, root / "new")
    directory = (root / "new").rename(root / digest.replace(":", "-"))
    rows = rng.normal(size=(BODIES, 1, columns)).round(4).tolist()
    v2 = [{"inputs": [{"name": "x", "shape": [1, columns], "datatype": "FP64", "data": row}]} for row in rows]
    model = load_model(directory, digest)
    case = Case(
        name=name,
        root=root,
        digest=digest,
        joblib=root / "model.joblib",
        bodies=root / "bodies",
        bento_bodies=root / "bento-bodies",
        backend=model.backend,
        columns=columns,
    )
    joblib.dump(estimator, case.joblib)
    case.bodies.write_text("".join(json.dumps(body) + "\n" for body in v2))
    case.bento_bodies.write_text("".join(json.dumps({"x": row}) + "\n" for row in rows))
    return case
