"""A proof that was made again where the model was fetched: a file beside the package, which is pinned and stays as it is.

It says for which bytes and which versions it holds, and counts for no others. Whoever may write the folder of models
could write this file as well; that is the init container alone.
"""

import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from penstock_serving.compile import proof_json
from penstock_serving.compile.result import Proof, Unproven, Versions
from penstock_serving.model.border import Border
from penstock_serving.model.digest import open_regular
from penstock_serving.model.errors import ModelError
from penstock_serving.model.files import ONNX_FILE, PROOF_FILE
from penstock_serving.model.serving import Serving
from penstock_serving.model.verified import Verified

FORMAT = "penstock.dev/renewal/v1"
MOST_BYTES = 1 << 20
_BORDER = Border("the renewed proof is damaged")
_SHA256_LENGTH = 64
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Bound:
    """What a renewal holds for: the package's digest, the SHA-256 (hexadecimal) of the compiled form, of the proof that
    it came with and of the estimator's file, and the versions that are installed."""

    digest: str
    onnx: str
    proof: str
    estimator: str
    versions: Versions


@dataclass(frozen=True, slots=True)
class Renewal:
    """A proof made again, or why it did not hold, and what it is bound to."""

    bound: Bound
    result: Proof | Unproven


def installed() -> Versions:
    """The versions that are here, read from what is installed: nothing is imported. Empty where there is none."""
    return Versions(*(_version(name) for name in ("scikit-learn", "onnx", "onnxruntime", "numpy")))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def bound(files: Verified, serving: Serving) -> Bound:
    """What a renewal of this package here is bound to; the package must hold all three files."""
    sha256 = files.sha256
    return Bound(files.digest, sha256[ONNX_FILE], sha256[PROOF_FILE], sha256[serving.estimator], installed())


def place(package: Path) -> Path:
    """Where the renewal of the package in this directory is kept."""
    return package.with_name(f"{package.name}.renewed.json")


def kept(package: Path) -> Renewal | None:
    """The renewal of the package in this directory; None where there is none, or what is there is none."""
    try:
        with open_regular(place(package)) as stream:
            content = stream.read(MOST_BYTES + 1)
        return load(content) if len(content) <= MOST_BYTES else None
    except (ModelError, OSError):
        return None


def keep(package: Path, renewal: Renewal) -> None:
    """Put the renewal where `kept` finds it, in one step. Raises `OSError`."""
    target = place(package)
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    with partial.open("xb") as out:
        out.write(dump(renewal))
        out.flush()
        os.fsync(out.fileno())
    partial.replace(target)


def dump(renewal: Renewal) -> bytes:
    """As the text of the file."""
    document = {"format": FORMAT, "bound": asdict(renewal.bound), "result": proof_json.document(renewal.result)}
    return (json.dumps(document, allow_nan=False, indent=1) + "\n").encode()


def load(content: bytes) -> Renewal:
    """Read the file; raises `BadModelError` for anything but what `dump` writes."""
    root = _BORDER.document(content, FORMAT, {"bound", "result"})
    raw = _BORDER.fields(root["bound"], "bound", set(Bound.__slots__))
    return Renewal(
        Bound(
            digest=_BORDER.text(raw["digest"], "bound.digest", _LONGEST),
            onnx=_BORDER.text(raw["onnx"], "bound.onnx", _SHA256_LENGTH),
            proof=_BORDER.text(raw["proof"], "bound.proof", _SHA256_LENGTH),
            estimator=_BORDER.text(raw["estimator"], "bound.estimator", _SHA256_LENGTH),
            versions=proof_json.read_versions(raw["versions"]),
        ),
        proof_json.read(root["result"]),
    )
