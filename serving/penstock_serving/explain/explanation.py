"""The answer to "why": how much each column moved each output of each row."""

from dataclasses import dataclass

from penstock_serving.explain.plan import Unit
from penstock_serving.model.frame import Matrix


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions [rows, columns, outputs] that add up, with `base_values` [outputs], to the margin in `unit`.

    `exact` is false where the contributions were sampled: they still add up, but each is an estimate.
    """

    base_values: Matrix
    contributions: Matrix
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: Unit
    exact: bool


class AdditivityError(ArithmeticError):
    """Contributions that do not add up to the margin: no answer, since something is wrong."""
