"""Neighbours that vote in native code, shown to answer as the model does; what is in doubt there Python answers.

It is a matter of speed alone: where anything is wrong with them there are none, and the model is called for every row.
"""

from typing import Any, Protocol

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Model
from penstock_serving.model.neighbours import Neighbours
from penstock_serving.protocol.outputs import checked


class Told(Protocol):
    """How the lane is told labels: from the bytes of float64 rows to those of their int64 positions, and from labels."""

    def __call__(self, content: bytes, /) -> bytes | None: ...

    def positions(self, labels: Matrix, /) -> list[int]: ...


def open_voting(native: Any, model: Model, told: Told) -> Any | None:
    """The neighbours for the lane of a model, where they vote for its default output and answer as it is told."""
    if model.neighbours is None:
        return None
    try:
        voting = _opened(native, model, model.neighbours, told)
        return voting if voting is not None and _answers_alike(voting, model, told) else None
    except Exception:  # noqa: BLE001  (whatever it is: Python alone is asked)
        return None


def _opened(native: Any, model: Model, neighbours: Neighbours, told: Told) -> Any | None:
    signature, points = model.signature, neighbours.points
    positions = told.positions(checked(signature.outputs[0], neighbours.classes).array)
    codes = neighbours.codes.astype(np.uint8)
    if positions != [*range(len(signature.classes))] or points.shape[1] != len(signature.columns):
        return None
    if points.dtype != np.float64 or not np.array_equal(codes, neighbours.codes):
        return None
    steps = [(name, numbers.tolist()) for name, numbers in neighbours.steps]
    return native.Neighbours(
        steps, points.tobytes(), codes.tobytes(), points.shape[1], neighbours.voting, len(positions)
    )


def _answers_alike(voting: Any, model: Model, told: Told) -> bool:
    """Whether it answers any of the usual rows, and no row that is tried in another way than Python."""
    # it is there for every model whose arithmetic is known, and for no other
    from penstock_serving.model.direct import tried_rows

    usual, special = tried_rows(model.signature)
    alone = [row[None] for row in usual]

    def answer(rows: Matrix) -> bytes | None:
        found: bytes | None = voting.positions(rows.tobytes())
        return found

    def is_alike(rows: Matrix) -> bool:
        found = answer(rows)
        return found is None or found == told(rows.tobytes())

    with np.errstate(all="ignore"):
        return any(map(answer, alone)) and all(map(is_alike, (usual, *alone, *special)))
