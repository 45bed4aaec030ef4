"""Packages that were proved with another ONNX Runtime, bound anew as packaging binds them; and the init container."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from penstock_serving import contract
from penstock_serving.jobs.package import package
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.files import MODEL_FILE, ONNX_FILE, PROOF_FILE, SERVING_FILE, model_directory
from penstock_serving.model.frame import matrix
from penstock_serving.renewal.record import place
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RANDOM = np.random.default_rng(5)
FRAME = {name: RANDOM.normal(size=120) for name in "abc"}
LABELS = FRAME["a"] + FRAME["b"] > 0
EARLIER = "1.2.3"
UNRENEWED = f"the compiled form was proved with ONNX Runtime {EARLIER}, this image has"


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix(FRAME), LABELS)


def spoiled(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def bound_anew(root: Path, estimator: str = MODEL_FILE) -> None:
    """Let serving.json name the files as they are now."""
    named = {"onnx": ONNX_FILE, "proof": PROOF_FILE, "estimator": estimator}
    sha256 = {key: hashlib.sha256((root / name).read_bytes()).hexdigest() for key, name in named.items()}
    spoiled(root / SERVING_FILE, lambda serving: serving["compiled"].update(sha256))


def proved_earlier(root: Path, estimator: str = MODEL_FILE) -> None:
    """The package as one whose form was proved with an earlier ONNX Runtime."""
    spoiled(root / PROOF_FILE, lambda proof: proof["proven"]["versions"].update(onnxruntime=EARLIER))
    bound_anew(root, estimator)


def packaged(folder: Path) -> Path:
    package(logistic(), FRAME, folder / "package")
    proved_earlier(folder / "package")
    return folder / "package"


def otherwise_compiled(root: Path) -> None:
    """Move one constant of the compiled form, and bind what came of it."""
    model = onnx.load_model_from_string((root / ONNX_FILE).read_bytes())
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if values.dtype == np.float64 and values.ndim == 2:
            values.flat[0] += 0.01
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    (root / ONNX_FILE).write_bytes(model.SerializeToString())
    bound_anew(root)


class Fetched:
    """The init container of a package, as a process, as often as it is asked for."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.digest = tree_digest(folder / "package")
        self.models = folder / "models"
        self.directory = model_directory(self.models, self.digest)
        self.log = folder / "termination-log"
        self.environment = os.environ | {
            contract.ENV_TERMINATION_LOG: str(self.log),
            contract.ENV_MODEL_ROOT: str(self.models),
            contract.ENV_MODEL_URI: str(folder / "package"),
            contract.ENV_MODEL_DIGEST: self.digest,
            **environment,
        }

    @property
    def record(self) -> Path:
        return place(self.directory)

    def start(self, command: Sequence[str] = ("-m", "penstock_serving.fetch")) -> subprocess.Popen[str]:
        self.log.write_bytes(b"")
        return subprocess.Popen(
            [sys.executable, *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: Sequence[str] = ("-m", "penstock_serving.fetch")) -> str:
        """What it prints."""
        with self.start(command) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        return out

    def said(self) -> dict[str, Any]:
        """What it left for the operator."""
        document: dict[str, Any] = json.loads(self.log.read_text())
        return document
