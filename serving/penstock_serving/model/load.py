"""Loading a model: the bytes that were verified are the bytes that are unpickled.

A pickle can run any code, so it is opened only when a digest was pinned, and only after every file of the package was
hashed through the very handles that are then read.
"""

import json
import pickle
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import joblib
import sklearn

from penstock_serving import contract
from penstock_serving.model.digest import Entry, digest, hash_stream, open_regular, require_digest, walk
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import GOLDEN_FILE, MODEL_FILE, SIGNATURE_FILE
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.model.signature_json import load as load_signature

_UNLOADABLE = (
    pickle.UnpicklingError,
    ImportError,
    AttributeError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Golden:
    """A request in the protocol's form and the outputs it must get."""

    request: bytes
    outputs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: the estimator's methods by output name, its signature, golden rows and digest."""

    estimator: object
    signature: Signature
    golden: Golden
    digest: str

    def method(self, output: str) -> Callable[[Matrix], Any]:
        """The estimator's method that computes an output."""
        method: Callable[[Matrix], Any] = getattr(self.estimator, output)
        return method


def load_model(directory: Path, pinned: str) -> Model:
    """Verify the package in `directory` against the pinned digest, then load it.

    Raises `BadModelError`: no digest pinned, another digest, no package, another minor version of scikit-learn, a
    pickle that cannot be loaded or holds no estimator.
    """
    with ExitStack() as handles:
        files = _verified(directory, pinned, handles)
        signature = load_signature(files[SIGNATURE_FILE].read())
        golden = _golden(files[GOLDEN_FILE].read())
        _require_versions(signature)
        try:
            estimator = joblib.load(files[MODEL_FILE])
        except _UNLOADABLE as error:
            raise BadModelError(
                contract.REASON_NOT_A_MODEL,
                f"{MODEL_FILE} cannot be loaded ({type(error).__name__}: {str(error)[:200]}); "
                "what the pickle names must be installed where it is served",
            ) from error
    model = Model(estimator, signature, golden, pinned)
    for output in signature.outputs:
        if not callable(getattr(estimator, output.name, None)):
            raise BadModelError(
                contract.REASON_NOT_A_MODEL,
                f"{MODEL_FILE} holds a {type(estimator).__name__} without the method {output.name}(); "
                "package a fitted scikit-learn estimator",
            )
    return model


def _verified(directory: Path, pinned: str, handles: ExitStack) -> dict[str, BinaryIO]:
    """Hash every file and return open, rewound handles of the package's own files."""
    require_digest(pinned)
    if not directory.is_dir():
        raise BadModelError(contract.REASON_NOT_FOUND, f"there is no model at {directory}; was it fetched?")
    entries, files = [], {}
    for path in walk(directory):
        stream = open_regular(directory / path)
        if path in {MODEL_FILE, SIGNATURE_FILE, GOLDEN_FILE}:
            files[path] = handles.enter_context(stream)
        sha256, size = hash_stream(stream)
        entries.append(Entry(sha256, size, path))
        if path in files:
            stream.seek(0)
        else:
            stream.close()
    actual = digest(entries)
    if actual != pinned:
        raise BadModelError(
            contract.REASON_DIGEST_MISMATCH, f"the files at {directory} have the digest {actual}, not {pinned}"
        )
    for name in (MODEL_FILE, SIGNATURE_FILE, GOLDEN_FILE):
        if name not in files:
            raise BadModelError(
                contract.REASON_NOT_A_MODEL,
                f"the model holds no {name} at its top; make it with 'penstock package' or "
                "penstock_serving.jobs.package.package()",
            )
    return files


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _require_versions(signature: Signature) -> None:
    made_with = signature.versions.scikit_learn
    if _minor(made_with) != _minor(sklearn.__version__):
        raise BadModelError(
            contract.REASON_VERSION_MISMATCH,
            f"the model was made with scikit-learn {made_with}, this image serves with {sklearn.__version__}; "
            "a pickle is good for its own minor version only: serve it with a matching image or train again",
        )


def _golden(content: bytes) -> Golden:
    try:
        document = json.loads(content)
        outputs = tuple(document["response"]["outputs"])
        request = json.dumps(document["request"]).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadModelError(
            contract.REASON_NOT_A_MODEL, f"{GOLDEN_FILE} is not a request and its response; package the model again"
        ) from error
    return Golden(request, outputs)
