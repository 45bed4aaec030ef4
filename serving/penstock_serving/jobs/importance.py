"""How far each column moves the answers of a model: permutation, without labels (after Breiman 2001, section 10)."""

from collections.abc import Callable, Mapping

import numpy as np

from penstock_serving.model.card import Importance
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

_ROWS = 200
_COLUMNS = 200
_SEED = 20_011
_SCORES = ("predict_proba", "decision_function", "predict", "transform")


def importance(
    methods: Mapping[str, Callable[[Matrix], Matrix]], signature: Signature, matrix: Matrix
) -> tuple[Importance, ...]:
    """The columns of a model by how far its answers move when a column is shuffled among rows [rows, columns].

    Answers are scores where the model has them, else predictions; the figure is the mean absolute change over rows and
    scores, or the share of labels that become others. At most 200 rows are asked, at most 200 columns looked at (else
    the result is empty: so many calls would take too long). The same model and rows give the same figures.
    """
    if len(signature.columns) > _COLUMNS:
        return ()
    ask = methods[next(name for name in _SCORES if name in signature.output)]
    random = np.random.default_rng(_SEED)
    rows = matrix[random.permutation(len(matrix))[:_ROWS]]
    before = ask(rows)
    found = []
    for position, column in enumerate(signature.columns):
        shuffled = rows.copy()
        shuffled[:, position] = rows[random.permutation(len(rows)), position]
        found.append(Importance(column.name, _distance(before, ask(shuffled))))
    return tuple(sorted(found, key=lambda item: (-item.value, item.column)))


def _distance(before: Matrix, after: Matrix) -> float:
    if before.dtype.kind in "fiu":
        return float(np.abs(before.astype(np.float64) - after.astype(np.float64)).mean())
    return float((before != after).mean())
