"""The first rung of the trust ladder: what a package is served by, judged without loading anything of it.

The server loads by this, and `fetch` tells it before; so what is told in the cluster is what is done in the pod. It is
a function of the pinned package, of the versions installed here and of a proof that `fetch` made again with them, and
imports neither onnxruntime nor scikit-learn.
"""

from dataclasses import dataclass
from importlib.metadata import version

from penstock_serving import contract
from penstock_serving.compile import proof_json
from penstock_serving.compile.result import Proof, Unproven
from penstock_serving.model import serving as serving_json
from penstock_serving.model.files import (
    ESTIMATOR_FILES,
    GRAPH_FILE,
    MODEL_FILE,
    ONNX_FILE,
    PROOF_FILE,
    SERVING_FILE,
)
from penstock_serving.model.serving import Serving
from penstock_serving.model.verified import Verified
from penstock_serving.renewal import record


@dataclass(frozen=True, slots=True)
class Choice:
    """What computes a model's answers (`contract.BACKEND_…`).

    `fallback_reason` says why it is not the compiled form; empty where it is, and where there is no estimator but an
    ONNX graph of the owner's. `proof` is there exactly when the compiled form serves.
    """

    backend: str
    fallback_reason: str = ""
    proof: Proof | None = None


def recorded(files: Verified) -> Serving:
    """What packaging found out; raises `BadModelError` when it is damaged."""
    if SERVING_FILE in files:
        return serving_json.load(files.read(SERVING_FILE))
    return serving_json.unrecorded(next((name for name in ESTIMATOR_FILES if name in files), MODEL_FILE))


def choose(files: Verified, serving: Serving) -> Choice:
    """What serves the package here; raises `BadModelError` when its proof is damaged."""
    proof = _proved(files, serving)
    if isinstance(proof, Proof):
        return Choice(contract.BACKEND_ONNX, proof=proof)
    if serving.estimator == GRAPH_FILE:
        return Choice(contract.BACKEND_ONNX)
    return Choice(contract.BACKEND_SCIKIT_LEARN, proof)


def _proved(files: Verified, serving: Serving) -> Proof | str:
    """The proof of the compiled form, or in one sentence the reason why that form is not to be used here.

    It is used when the package holds the very files that the proof was made for, and ONNX Runtime is here in the
    version that the proof was made with; or when `fetch` has made the proof again with the versions that are here.
    """
    proof = _packaged(files, serving)
    if isinstance(proof, str) or _is_current(proof):
        return proof
    renewal = record.kept(files.directory)
    if renewal is not None and renewal.bound == record.bound(files, serving):
        return renewal.result.reason if isinstance(renewal.result, Unproven) else renewal.result
    return (
        f"the compiled form was proved with ONNX Runtime {proof.versions.onnxruntime}, this image has "
        f"{version('onnxruntime')}; package the model again with it"
    )


def outdated(files: Verified, serving: Serving) -> Proof | None:
    """The proof that would serve but for the version of ONNX Runtime here; raises `BadModelError` when it is damaged."""
    proof = _packaged(files, serving)
    return None if isinstance(proof, str) or _is_current(proof) else proof


def _is_current(proof: Proof) -> bool:
    """Whether a proof holds here: what computes the compiled form is ONNX Runtime alone."""
    return proof.versions.onnxruntime == version("onnxruntime")


def _packaged(files: Verified, serving: Serving) -> Proof | str:
    """The proof that the package holds for the very files in it, of whatever versions; or why it holds none."""
    compiled = serving.compiled
    if compiled is None:
        return serving.not_compiled
    bound = ((ONNX_FILE, compiled.onnx), (PROOF_FILE, compiled.proof), (serving.estimator, compiled.estimator))
    for name, sha256 in bound:
        if files.sha256.get(name) != sha256:
            return f"{name} is not the file that the proof of the compiled form was made for; package the model again"
    proof = proof_json.load(files.read(PROOF_FILE))
    return proof.reason if isinstance(proof, Unproven) else proof
