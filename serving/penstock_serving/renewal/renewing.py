"""Making the proof of a compiled form again, where ONNX Runtime is here in another version than it was proved with."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from penstock_serving.compile import proof_json
from penstock_serving.compile.result import Proof, Unproven
from penstock_serving.model.border import written
from penstock_serving.model.errors import ModelError
from penstock_serving.model.estimator import require_versions
from penstock_serving.model.files import PROOF_FILE, SIGNATURE_FILE
from penstock_serving.model.serving import Serving
from penstock_serving.model.signature_json import load as load_signature
from penstock_serving.model.trust import Trust
from penstock_serving.model.verified import Verified
from penstock_serving.renewal.order import parts
from penstock_serving.renewal.record import Bound, Renewal, bound, keep, kept
from penstock_serving.sandbox.kernel import hide
from penstock_serving.sandbox.run import Confines, run

SECONDS = 300.0
_ANSWER_BYTES = 1 << 16
_MAPPED_BYTES = 1 << 30  # of libraries and stacks: address space that is no memory
_MOST_ADDRESSES = 8 << 30
_HELD_BYTES = 288 << 20
_COPIES = 10
_UNENDED = (
    "the compiled form was being proved with the versions of this image when its container was stopped, for want of "
    "memory perhaps; a new pod tries again"
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How long a proof may take (seconds), and the memory that there is (bytes; infinite where nothing limits it)."""

    seconds: float
    memory: float

    @property
    def confines(self) -> Confines:
        """The sandbox's limits."""
        addresses = int(min(self.memory + _MAPPED_BYTES, _MOST_ADDRESSES))
        return Confines(addresses, int(self.seconds) + 1, self.seconds, _ANSWER_BYTES)

    def too_small(self, estimator_bytes: int) -> str:
        """Why an estimator of so many bytes is not to be opened here; empty where it may be."""
        needed = _HELD_BYTES + _COPIES * estimator_bytes
        if needed <= self.memory:
            return ""
        return (
            f"proving may take {needed >> 20} MiB of memory, and the container that fetches has "
            f"{int(self.memory) >> 20} MiB; raise its memory limit (spec.runtime.resources) or package the model again"
        )


@dataclass(frozen=True, slots=True)
class Outdated:
    """A package, and its proof of another ONNX Runtime."""

    files: Verified
    serving: Serving
    proof: Proof


def renew(package: Outdated, trust: Trust, allowance: Allowance, tell: Callable[[str], None]) -> None:
    """Prove the package's compiled form with what is installed, and keep what came of it, for `choose` to find.

    Nothing is done where that was done before. The estimator is opened in the sandbox alone. Raises `OSError` when the
    result cannot be kept or no process can be started.
    """
    files, serving = package.files, package.serving
    wanted = bound(files, serving)
    known = kept(files.directory)
    if known is not None and known.bound == wanted:
        tell("the compiled form was judged with the versions of this image before")
        return
    # Kept before anything is opened: whatever ends this container meanwhile, the next does not fall into the same pit.
    keep(files.directory, Renewal(wanted, Unproven(_UNENDED)))
    tell(
        f"proving the compiled form with ONNX Runtime {wanted.versions.onnxruntime}, as it was proved with "
        f"{package.proof.versions.onnxruntime}; this takes {allowance.seconds:g} s at most"
    )
    hide()
    began = time.monotonic()
    result = _result(package, trust, allowance, wanted)
    keep(files.directory, Renewal(wanted, result))
    seconds = time.monotonic() - began
    if isinstance(result, Proof):
        tell(f"proved on {sum(count for _, count in result.rows)} rows in {seconds:.1f} s")
    else:
        tell(f"not proved after {seconds:.1f} s: {result.reason}")


def _result(package: Outdated, trust: Trust, allowance: Allowance, wanted: Bound) -> Proof | Unproven:
    files, serving = package.files, package.serving
    why_not = allowance.too_small(files.size(serving.estimator))
    if why_not:
        return _unproven(why_not, wanted)
    try:
        require_versions(load_signature(files.read(SIGNATURE_FILE)).versions.scikit_learn, trust)
        given = parts(files, serving.estimator, trust.skops_types)
        answer = run("penstock_serving.renewal.confined", given, allowance.confines, _paths())
        result = proof_json.load(answer.get(PROOF_FILE, b""))
        written(proof_json.document(result))
    except ModelError as error:
        return _unproven(error.message, wanted)
    except UnicodeEncodeError:
        return _unproven("the sandbox answered with what is no text", wanted)
    if isinstance(result, Unproven):
        return _unproven(result.reason, wanted)
    if result.versions != wanted.versions:
        return _unproven("the sandbox proved with other versions than are installed here", wanted)
    # what was seen once, on the reference itself, counts
    return replace(result, rows_independent=result.rows_independent and package.proof.rows_independent)


def _unproven(why: str, wanted: Bound) -> Unproven:
    return Unproven(f"the compiled form is not proved with ONNX Runtime {wanted.versions.onnxruntime}: {why}")


def _paths() -> list[str]:
    """Where this image keeps modules besides its own: what an estimator needs may be there."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
