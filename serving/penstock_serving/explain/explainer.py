"""Explaining rows by a plan: numpy alone, no scikit-learn."""

from dataclasses import dataclass

import numpy as np

from penstock_serving.explain import linear, tree
from penstock_serving.explain.explanation import AdditivityError, Explanation
from penstock_serving.explain.npz import MalformedError
from penstock_serving.explain.permutation import Budget, Pause, Predict, explain_row
from penstock_serving.explain.plan import Forest, Linear, Plan, Sampled
from penstock_serving.explain.plan_npz import load
from penstock_serving.explain.stages import apply, floats, origins
from penstock_serving.model.frame import Matrix

_TOLERANCE = 1e-6
DEFAULT_BUDGET = Budget(predictions=200_000, seed=0)


def never() -> None:
    """Nothing to do between blocks."""


@dataclass(frozen=True, slots=True)
class _Parts:
    contributions: Matrix
    base: Matrix
    margins: Matrix
    exact: bool


class Explainer:
    """Explains rows of one model.

    Raises `MalformedError` for a file that is not an exported model, `ValueError` where the model has no arrays
    and no `predict` [rows, columns] -> [rows, outputs] is given.
    """

    def __init__(self, data: bytes, predict: Predict | None = None, budget: Budget = DEFAULT_BUDGET) -> None:
        self.plan: Plan = load(data)
        self._columns = origins(self.plan.stages, len(self.plan.columns))
        self._predict, self._budget = predict, budget
        self._trees: tree.TreeShap | None = None
        if isinstance(self.plan.model, Forest):
            self._trees = tree.TreeShap(self.plan.model, self._columns, len(self.plan.columns))
        if isinstance(self.plan.model, Sampled) and predict is None:
            raise ValueError("this model is explained by asking it: give its predict function")

    def explain(self, matrix: Matrix, pause: Pause = never) -> Explanation:
        """Explain rows [rows, columns], as serving hands them to the model.

        Raises `UnseenValueError` for a category that the pipeline refuses, `AdditivityError` where contributions and
        base values miss the margin by more than 1e-6 (relative to it from 1 on), `MalformedError` for stages that do not
        fit the columns; what `pause` raises passes through.
        """
        parts = self._parts(matrix, pause)
        sums = parts.contributions.sum(axis=1) + parts.base
        if not (np.abs(sums - parts.margins) <= _TOLERANCE * np.maximum(1.0, np.abs(parts.margins))).all():
            raise AdditivityError("the contributions do not add up to the model's margin")
        plan = self.plan
        return Explanation(parts.base, parts.contributions, plan.columns, plan.outputs, plan.unit, parts.exact)

    def margins(self, matrix: Matrix) -> Matrix:
        """The margins [rows, outputs] that the exported arrays give, without explaining them."""
        model = self.plan.model
        if isinstance(model, Sampled):
            return self._asked(matrix)
        made = self._made(matrix)
        if isinstance(model, Linear):
            return linear.margins(model, made)
        return tree.margins(model, tree.compared(model, made))

    def _made(self, matrix: Matrix) -> Matrix:
        try:
            return floats(apply(self.plan.stages, matrix))
        except (TypeError, ValueError) as error:
            raise MalformedError("the stages do not take the columns' values") from error

    def _asked(self, matrix: Matrix) -> Matrix:
        if self._predict is None:
            raise ValueError("this model is explained by asking it: give its predict function")
        values = np.asarray(self._predict(matrix), dtype=np.float64)
        return values[:, None] if values.ndim == 1 else values

    def _parts(self, matrix: Matrix, pause: Pause) -> _Parts:
        model = self.plan.model
        if isinstance(model, Sampled):
            return self._sampled(model, matrix, pause)
        made = self._made(matrix)
        width = len(self.plan.columns)
        if isinstance(model, Linear):
            found = linear.contributions(model, made, self._columns, width)
            return _Parts(found, linear.base_values(model), linear.margins(model, made), exact=True)
        assert self._trees is not None
        made = tree.compared(model, made)
        found = self._trees.contributions(made, pause)
        return _Parts(found, tree.base_values(model), tree.margins(model, made), exact=True)

    def _sampled(self, model: Sampled, matrix: Matrix, pause: Pause) -> _Parts:
        background = model.background.astype(matrix.dtype)
        rows = [explain_row(self._asked, row, background, self._budget, pause) for row in matrix]
        return _Parts(
            contributions=np.stack([row.contributions for row in rows]),
            base=rows[0].nothing,
            margins=self._asked(matrix),
            exact=all(row.exact for row in rows),
        )
