"""Opening the compiled form of a model, if its proof holds here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from penstock_serving.model.files import ONNX_FILE, PROOF_FILE
from penstock_serving.model.frame import Matrix
from penstock_serving.model.serving import Serving
from penstock_serving.model.signature import Signature
from penstock_serving.model.verified import Verified

if TYPE_CHECKING:
    from penstock_serving.compile.result import Proof


@dataclass(frozen=True, slots=True)
class Opened:
    """A compiled form: what computes each output, and the proof that it equals the estimator."""

    methods: Mapping[str, Callable[[Matrix], Matrix]]
    proof: "Proof"


def open_proved(files: Verified, serving: Serving, signature: Signature) -> Opened | str:
    """The compiled form, or the reason why it is not to be used here, in one sentence.

    It is used when the package holds the very files that the proof was made for, and ONNX Runtime is here in the
    version that the proof was made with.
    """
    compiled = serving.compiled
    if compiled is None:
        return serving.not_compiled
    bound = ((ONNX_FILE, compiled.onnx), (PROOF_FILE, compiled.proof), (serving.estimator, compiled.estimator))
    for name, sha256 in bound:
        if files.sha256.get(name) != sha256:
            return f"{name} is not the file that the proof of the compiled form was made for; package the model again"
    # onnxruntime is paid for only where it serves
    from penstock_serving.compile import proof_json
    from penstock_serving.compile.opening import open_bytes
    from penstock_serving.compile.result import Unproven

    proof = proof_json.load(files.read(PROOF_FILE))
    if isinstance(proof, Unproven):
        return proof.reason
    installed = version("onnxruntime")
    if proof.versions.onnxruntime != installed:
        return (
            f"the compiled form was proved with ONNX Runtime {proof.versions.onnxruntime}, this image has {installed}; "
            "package the model again with it"
        )
    methods = open_bytes(files.read(ONNX_FILE), signature)
    missing = [output.name for output in signature.outputs if output.name not in methods]
    return f"the compiled form has no output {missing[0]}" if missing else Opened(methods, proof)
