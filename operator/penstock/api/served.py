"""How a revision is served: what computes its answers, why not the compiled form, what that form was compared on.

The pods say it, and a pod may run any image: so every text is one printable line, and everything is bounded.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from penstock.api import contract
from penstock.api.base import Count, Part, clip


class Backend(StrEnum):
    """What computes the answers."""

    ONNX = contract.BACKEND_ONNX
    """ONNX Runtime: the compiled form with its proof, or without one a graph that the owner brought."""
    SCIKIT_LEARN = contract.BACKEND_SCIKIT_LEARN
    """The estimator itself."""
    UNKNOWN = "unknown"
    """The pods say something that cannot be read."""


def _line(text: object) -> object:
    if not isinstance(text, str):
        return text
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _line_of(limit: int) -> BeforeValidator:
    def cut(text: object) -> object:
        line = _line(text)
        return clip(line, limit) if isinstance(line, str) else line

    return BeforeValidator(cut)


Sentence = Annotated[str, _line_of(512), Field(max_length=512)]
"""A sentence of somebody else's, made one printable line and cut at 512 bytes."""
Remark = Annotated[str, _line_of(200), Field(max_length=200)]
"""The same, cut at 200 bytes for a status, which has many sentences."""
_Word = Annotated[str, BeforeValidator(_line), Field(max_length=64)]
_Difference = Annotated[str, Field(max_length=16, pattern=r"^[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?$")]


class Compared(Part):
    """One method of the compiled form, compared with scikit-learn's."""

    method: _Word
    """Method of the estimator."""
    largest_difference: _Difference
    """Largest difference found between two scores, as a share of max(1, |score|)."""
    on: _Word
    """Kind of the row that has it."""
    ties: Count = 0
    """Rows so close to a tie between two labels that either is right."""


class ProofVersions(Part):
    """Versions that were compared."""

    scikit_learn: _Word
    """Version of scikit-learn."""
    onnx: _Word
    """Version of the onnx package that wrote the compiled form."""
    onnxruntime: _Word
    """Version of ONNX Runtime, the only one for which the proof counts."""
    numpy: _Word
    """Version of numpy."""


class Proof(Part):
    """What the compiled form was compared on before it was allowed to serve."""

    rows: Count
    """Rows on which it answered as scikit-learn does."""
    compared: Annotated[tuple[Compared, ...], Field(max_length=8)]
    """Each method's measured difference."""
    versions: ProofVersions
    """Versions that were compared."""


class Served(Part):
    """How a revision is served."""

    backend: Backend
    """What computes the answers: onnx, scikit-learn, or unknown when the pods' word cannot be read."""
    fallback_reason: Sentence | None = None
    """Why it is not the compiled form."""
    proof: Proof | None = None
    """What the compiled form was compared on, where it serves."""
