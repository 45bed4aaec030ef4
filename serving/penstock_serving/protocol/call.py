"""A prediction that was asked for, whatever the wire, and the answer's body.

Both are made for every request, so they are named tuples: a frozen dataclass takes five times as long to make.
"""

from typing import NamedTuple

from penstock_serving.model.frame import Matrix


class Call(NamedTuple):
    """A checked request: matrix [rows, columns], names of the outputs to compute, the caller's id (empty for none).

    `binary` names the outputs whose values the caller wants as raw bytes.
    """

    matrix: Matrix
    outputs: tuple[str, ...]
    request_id: str
    binary: frozenset[str] = frozenset()


class Encoded(NamedTuple):
    """An answer's body. `json_length` is the number of its first bytes that are JSON; None when all are.

    A number is to be told as the header Inference-Header-Content-Length.
    """

    body: bytes
    json_length: int | None = None
