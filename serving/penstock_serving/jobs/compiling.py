"""Asking the compiler and the explainer for what they can make of a model, and keeping why when they cannot."""

import warnings
from dataclasses import dataclass
from typing import Any

from penstock_serving.compile.proof import compile_and_prove, rows_independent
from penstock_serving.compile.proof_json import dump
from penstock_serving.compile.result import Proven, Unproven
from penstock_serving.explain.arrays import export, export_sampled
from penstock_serving.explain.unexplained import NotExplained
from penstock_serving.model.frame import Matrix
from penstock_serving.model.graph import Graph
from penstock_serving.model.outputs import MODELS_OWN
from penstock_serving.model.signature import Signature

_DEPENDENT = "the model answers a row otherwise in other company"


@dataclass(frozen=True, slots=True)
class Equal:
    """A compiled form that was proved equal to the estimator, the text of its proof, and what follows for batches."""

    onnx: bytes
    proof: bytes
    rows_dependent: str


@dataclass(frozen=True, slots=True)
class Unequal:
    """No compiled form, why, and the same as the text of a proof."""

    reason: str
    proof: bytes
    rows_dependent: str


def compiled_form(model: Any, signature: Signature, reference: Matrix) -> Equal | Unequal:
    """Compile and prove on reference rows [rows, columns].

    `rows_dependent` of the result says why rows of several requests must not be given to the *estimator* together; it
    is empty when the answers were shown to be independent.
    """
    if isinstance(model, Graph):
        served_as_it_is = Unproven(
            "the model is an ONNX graph and is served as it is; there is nothing to compare it with"
        )
        return Unequal(served_as_it_is.reason, dump(served_as_it_is), _rows_dependent(model, reference))
    result = compile_and_prove(model, signature, reference)
    if isinstance(result, Proven):
        return Equal(result.model, dump(result.proof), "" if result.proof.estimator_rows_independent else _DEPENDENT)
    return Unequal(result.reason, dump(result), _rows_dependent(model, reference))


def explainer(model: Any, signature: Signature, reference: Matrix, golden: Matrix) -> bytes | NotExplained:
    """The content of `explain.npz`: exact arrays, else, with the golden rows as background, by asking the model."""
    exact = export(model, signature, reference)
    if isinstance(exact, bytes):
        return exact
    sampled = export_sampled(signature, golden)
    return sampled if isinstance(sampled, bytes) else exact


def _rows_dependent(model: Any, reference: Matrix) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shown = rows_independent(model, reference)
        except MODELS_OWN as error:
            return f"{_DEPENDENT} ({type(error).__name__})"
    return "" if shown else _DEPENDENT
