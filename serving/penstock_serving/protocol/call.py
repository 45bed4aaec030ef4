"""A prediction that was asked for, whatever the wire: the model's matrix and the outputs wanted."""

from dataclasses import dataclass

from penstock_serving.model.frame import Matrix


@dataclass(frozen=True, slots=True)
class Call:
    """A checked request: matrix [rows, columns], names of the outputs to compute, the caller's id (empty for none)."""

    matrix: Matrix
    outputs: tuple[str, ...]
    request_id: str
