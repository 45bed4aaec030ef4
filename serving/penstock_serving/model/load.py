"""Loading a model by the safest way that its package offers: the trust ladder.

1. `model.onnx`, proved equal to the estimator when it was packaged: nothing is unpickled, scikit-learn is not imported.
   So it is with `graph.onnx`, a graph that the owner brought instead of an estimator.
2. `model.skops`, of types that skops or the deployer trusts.
3. `model.joblib`: a pickle, which can run any code. So only with a pinned digest, which every way needs.

The reason why a safer way was not taken is kept, and shown in the model's metadata.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_serving import contract
from penstock_serving.compile.result import Proof
from penstock_serving.model.asked import bare
from penstock_serving.model.choice import choose, recorded
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.estimator import open_pickle, open_skops, require_versions
from penstock_serving.model.files import (
    EXPLAIN_FILE,
    GOLDEN_FILE,
    GRAPH_FILE,
    ONNX_FILE,
    SIGNATURE_FILE,
    SKOPS_FILE,
)
from penstock_serving.model.fitted import as_fitted
from penstock_serving.model.frame import Matrix
from penstock_serving.model.graph import open_graph
from penstock_serving.model.libraries import import_scikit_learn
from penstock_serving.model.outputs import methods
from penstock_serving.model.series import Asked
from penstock_serving.model.signature import Signature
from penstock_serving.model.signature_json import load as load_signature
from penstock_serving.model.trust import NOTHING_MORE, Trust
from penstock_serving.model.verified import Verified, verified

if TYPE_CHECKING:
    from penstock_serving.model.neighbours import Neighbours

Methods = Mapping[str, Callable[[Matrix], Matrix]]


@dataclass(frozen=True, slots=True)
class Golden:
    """A request in the protocol's form and the outputs it must get."""

    request: bytes
    outputs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: what computes each output, its signature, golden rows and digest.

    `backend` is what computes ("onnx" or "scikit-learn"); `fallback_reason` why it is not the compiled form (empty when
    it is); `rows_independent` whether rows of several requests may be computed together; `proof` what the compiled form
    was compared with, where it serves.
    `compiled` is the compiled form itself, where it serves, for the native lane; `direct` names the outputs that
    scikit-learn's arithmetic computes without its checks; `neighbours` is how neighbours vote for its predictions, where
    that is known, for the native lane too.
    `explainer` holds what explanations are computed from, or says why there are none.
    """

    methods: Methods
    signature: Signature
    golden: Golden
    digest: str
    backend: str
    fallback_reason: str = ""
    rows_independent: bool = False
    proof: Proof | None = None
    explainer: bytes | str = "the model has no package"
    compiled: bytes | None = None
    direct: tuple[str, ...] = ()
    neighbours: "Neighbours | None" = None

    def method(self, output: str) -> Callable[[Matrix], Matrix]:
        """What computes an output from a matrix [rows, columns]: an array [rows] or [rows, width]."""
        return self.methods[output]

    @property
    def properties(self) -> dict[str, str]:
        """What the model's metadata says of how it is served."""
        shown = {"backend": self.backend, "rows_independent": str(self.rows_independent).lower()}
        if self.fallback_reason:
            shown["fallback_reason"] = self.fallback_reason
        if self.direct:
            shown["direct"] = ", ".join(self.direct)
        if self.proof is not None:
            differences = (
                f"{compared.method} {compared.largest_difference:.3g} ({compared.on})"
                for compared in self.proof.compared
            )
            shown |= {
                "proof_rows": str(sum(count for _, count in self.proof.rows)),
                "proof_largest_differences": ", ".join(differences),
                "proof_scikit_learn": self.proof.versions.scikit_learn,
                "proof_onnx": self.proof.versions.onnx,
                "proof_onnxruntime": self.proof.versions.onnxruntime,
                "proof_numpy": self.proof.versions.numpy,
            }
        return shown


def as_it_is() -> None:
    """Unpickle in this process as it is."""


def load_model(
    directory: Path, pinned: str, trust: Trust = NOTHING_MORE, before_unpickling: Callable[[], None] = as_it_is
) -> Model:
    """Verify the package in `directory` against the pinned digest, then load it.

    `before_unpickling` is called when a pickle is about to be opened in this process, which can then confine itself.

    Raises `BadModelError`: no digest pinned, another digest, no package, another minor version of scikit-learn, types
    that are not trusted, a file that cannot be loaded or holds no estimator.
    """
    with verified(directory, pinned) as files:
        signature = load_signature(files.read(SIGNATURE_FILE))
        golden = _golden(files.read(GOLDEN_FILE))
        serving = recorded(files)
        explainer: bytes | str = serving.not_explained or "its package holds no explainer"
        if EXPLAIN_FILE in files:
            explainer = files.read(EXPLAIN_FILE)
        choice = choose(files, serving)
        if choice.proof is not None:
            # onnxruntime is paid for only where it serves
            from penstock_serving.compile.opening import open_bytes

            compiled = files.read(ONNX_FILE)
            return Model(
                open_bytes(compiled, signature),
                signature,
                golden,
                pinned,
                choice.backend,
                rows_independent=choice.proof.rows_independent,
                proof=choice.proof,
                explainer=explainer,
                compiled=compiled,
            )
        estimator = as_fitted(_estimator(files, serving.estimator, signature, trust, before_unpickling), signature)
    found = methods(estimator, [output.name for output in signature.outputs])
    for output in signature.outputs:
        if output.name not in found:
            raise BadModelError(
                contract.REASON_NOT_A_MODEL,
                f"{serving.estimator} holds a {type(bare(estimator)).__name__} without the method {output.name}(); "
                "package a fitted scikit-learn estimator",
            )
    quick: Methods = {}
    neighbours = None
    if serving.estimator != GRAPH_FILE and signature.asked is not Asked.FRAME:
        # what calls a model otherwise is paid for only where it is called
        from penstock_serving.model.direct import direct
        from penstock_serving.model.neighbours import neighbours_of

        quick = direct(bare(estimator), found, signature)
        if "predict" in quick:
            neighbours = neighbours_of(bare(estimator))
    return Model(
        {**found, **quick},
        signature,
        golden,
        pinned,
        choice.backend,
        choice.fallback_reason,
        serving.rows_independent,
        explainer=explainer,
        direct=tuple(quick),
        neighbours=neighbours,
    )


def of_estimator(estimator: object, signature: Signature, golden: Golden, digest: str) -> Model:
    """A fitted estimator as a model, without a package."""
    found = methods(estimator, [output.name for output in signature.outputs])
    return Model(found, signature, golden, digest, contract.BACKEND_SCIKIT_LEARN, "an estimator in memory")


def _estimator(
    files: Verified, name: str, signature: Signature, trust: Trust, before_unpickling: Callable[[], None]
) -> object:
    content = files.read(name)
    if name == GRAPH_FILE:
        return open_graph(content)
    if signature.asked is not Asked.FRAME:
        import_scikit_learn()
    require_versions(signature.versions.scikit_learn, trust)
    if name == SKOPS_FILE:
        return open_skops(content, trust.skops_types)
    before_unpickling()
    return open_pickle(content)


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
