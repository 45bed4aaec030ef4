"""What a proof says: the compiled model and what it was compared on, or why there is none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that a proof holds for; a load with others falls back to scikit-learn."""

    scikit_learn: str
    onnx: str
    onnxruntime: str
    numpy: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One method on all rows: the largest difference from scikit-learn, and on which kind of rows.

    The difference of a score s is told as a share of max(1, |s|).

    For labels: how many rows were so close to a tie (margin at most 1e-6) that either label is right.
    """

    method: str
    largest_difference: float
    on: str
    ties: int


@dataclass(frozen=True, slots=True)
class Proof:
    """A compiled model that answered as scikit-learn on every row it was asked.

    `rows` counts rows by kind; `refused` of them were refused by both. `splits` counts the trees' splits, and
    `splits_visited` those that rows on both sides of the threshold reached. `rows_independent` says of the compiled
    model, `estimator_rows_independent` of scikit-learn, that an answer does not depend on the other rows of a call.
    """

    compared: tuple[Compared, ...]
    rows: tuple[tuple[str, int], ...]
    refused: int
    splits: int
    splits_visited: int
    rows_independent: bool
    estimator_rows_independent: bool
    versions: Versions


@dataclass(frozen=True, slots=True)
class Proven:
    """An ONNX model and the proof that it equals scikit-learn."""

    model: bytes
    proof: Proof


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why scikit-learn itself has to serve."""

    reason: str
