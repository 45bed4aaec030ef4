"""What a pipeline does to its columns before the model sees them, as plain arrays.

Every stage makes each of its columns from exactly one column that came in. So a contribution found for a made column
belongs to one input column, and the contributions of an input column's made columns (a one-hot group) add up to it.
Stages repeat scikit-learn's arithmetic in its order and precision: a tree's split must fall as it does in the model.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from penstock_serving.model.frame import Matrix

Category = str | float | None


class UnseenValueError(Exception):
    """A value that the pipeline's encoder was fitted to refuse; `position` is its column among the stage's columns."""

    def __init__(self, position: int) -> None:
        super().__init__(f"column {position} holds a value that its encoder refuses")
        self.position = position


class Operation(StrEnum):
    """What `Arithmetic` does with each column and its operand."""

    SUBTRACT = "subtract"
    DIVIDE = "divide"
    MULTIPLY = "multiply"
    ADD = "add"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Rounding(StrEnum):
    """What is rounded to the matrix's precision: the operand before the operation, or only the result."""

    OPERAND = "operand"
    RESULT = "result"


_UFUNCS: dict[Operation, np.ufunc] = {
    Operation.SUBTRACT: np.subtract,
    Operation.DIVIDE: np.divide,
    Operation.MULTIPLY: np.multiply,
    Operation.ADD: np.add,
    Operation.AT_LEAST: np.maximum,
    Operation.AT_MOST: np.minimum,
}


def floats(matrix: Matrix) -> Matrix:
    """A matrix of floats as it is; of objects or truth values as float64."""
    return matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """One operation with an operand per column [columns], in the matrix's own precision."""

    operation: Operation
    operand: Matrix
    rounding: Rounding = Rounding.OPERAND

    @property
    def width(self) -> int:
        """Columns that it takes."""
        return len(self.operand)

    @property
    def origins(self) -> Matrix:
        """For each made column the column it comes from."""
        return np.arange(self.width)

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix [rows, made columns] from [rows, columns]."""
        values = floats(matrix)
        operand = self.operand.astype(values.dtype) if self.rounding is Rounding.OPERAND else self.operand
        return np.asarray(_UFUNCS[self.operation](values, operand)).astype(values.dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Select:
    """Some of the columns, in a given order: positions [made columns] among `width`."""

    positions: Matrix
    width: int

    @property
    def origins(self) -> Matrix:
        """For each made column the column it comes from."""
        return self.positions

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix [rows, made columns] from [rows, columns]."""
        return matrix[:, self.positions]


@dataclass(frozen=True, slots=True)
class Impute:
    """Missing values replaced; columns never seen with a value dropped; truth values "was missing" appended.

    `missing` is what counts as missing (NaN, None, or a value); `fill` [columns] holds the replacement of each column;
    `kept` and `indicated` are positions.
    """

    missing: Category
    fill: tuple[Category, ...]
    kept: Matrix
    indicated: Matrix

    @property
    def width(self) -> int:
        """Columns that it takes."""
        return len(self.fill)

    @property
    def origins(self) -> Matrix:
        """For each made column the column it comes from."""
        return np.concatenate([self.kept, self.indicated])

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix [rows, made columns] from [rows, columns]."""
        missing = self._mask(matrix)
        made = matrix[:, self.kept]
        fill = np.array([self.fill[position] for position in self.kept.tolist()], dtype=matrix.dtype)
        made = np.where(missing[:, self.kept], fill, made)
        if not len(self.indicated):
            return made
        return np.hstack([made, missing[:, self.indicated]])

    def _mask(self, matrix: Matrix) -> Matrix:
        if _is_nan(self.missing):
            return np.asarray(matrix != matrix, dtype=bool)
        if self.missing is None:
            return np.array([value is None for value in matrix.ravel().tolist()]).reshape(matrix.shape)
        return np.asarray(matrix == self.missing, dtype=bool)


@dataclass(frozen=True, slots=True)
class Codebook:
    """What one column's categories become.

    `table` [categories + 1, made columns] holds a row of values for each category and, last, for any other value; or,
    for a one-hot group, [categories + 1] the position of the one among `group` made columns, -1 for none.
    """

    categories: tuple[Category, ...]
    table: Matrix
    group: int
    takes_unseen: bool

    @property
    def made(self) -> int:
        """How many columns it makes."""
        return self.group if self.table.ndim == 1 else int(self.table.shape[1])

    def rows(self, codes: Matrix) -> Matrix:
        """The made columns [rows, made] for codes [rows]."""
        if self.table.ndim == 2:
            return np.asarray(self.table[codes])
        places = self.table[codes]
        made = np.zeros((len(codes), self.group))
        present = np.flatnonzero(places >= 0)
        made[present, places[present]] = 1.0
        return made


@dataclass(frozen=True, slots=True)
class Encode:
    """Categories to numbers, a codebook per column."""

    books: tuple[Codebook, ...]

    @property
    def width(self) -> int:
        """Columns that it takes."""
        return len(self.books)

    @property
    def origins(self) -> Matrix:
        """For each made column the column it comes from."""
        return np.repeat(np.arange(len(self.books)), [book.made for book in self.books])

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix [rows, made columns] from [rows, columns].

        Raises `UnseenValueError` for a value that is none of the categories where the encoder takes none such.
        """
        blocks = []
        for position, book in enumerate(self.books):
            codes = _codes(matrix[:, position], book.categories)
            if not book.takes_unseen and (codes == len(book.categories)).any():
                raise UnseenValueError(position)
            blocks.append(book.rows(codes))
        return np.hstack(blocks)


@dataclass(frozen=True, slots=True)
class Branch:
    """A part of the columns and what is done to it."""

    positions: Matrix
    stages: "tuple[Stage, ...]"


@dataclass(frozen=True, slots=True)
class Branches:
    """Parts of `width` columns treated apart and set side by side: scikit-learn's ColumnTransformer."""

    branches: tuple[Branch, ...]
    width: int

    @property
    def origins(self) -> Matrix:
        """For each made column the column it comes from."""
        parts = [branch.positions[origins(branch.stages, len(branch.positions))] for branch in self.branches]
        return np.concatenate(parts)

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix [rows, made columns] from [rows, columns]; raises `UnseenValueError`."""
        made = []
        for branch in self.branches:
            try:
                made.append(apply(branch.stages, matrix[:, branch.positions]))
            except UnseenValueError as unseen:
                raise UnseenValueError(int(branch.positions[unseen.position])) from unseen
        return np.hstack(made)


Stage = Arithmetic | Select | Impute | Encode | Branches


def origins(stages: tuple[Stage, ...], width: int) -> Matrix:
    """For each column that comes out of the stages the position [made columns] of the one of `width` it comes from."""
    found = np.arange(width)
    for stage in stages:
        found = found[stage.origins]
    return found


def apply(stages: tuple[Stage, ...], matrix: Matrix) -> Matrix:
    """The matrix that comes out of the stages; raises `UnseenValueError` naming the position that came in."""
    passed: list[Stage] = []
    made = matrix
    for stage in stages:
        try:
            made = stage.apply(made)
        except UnseenValueError as unseen:
            came_in = origins(tuple(passed), matrix.shape[1])
            raise UnseenValueError(int(came_in[unseen.position])) from unseen
        passed.append(stage)
    return made


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _codes(values: Matrix, categories: tuple[Category, ...]) -> Matrix:
    """The position [rows] of each value among the categories, their number where it is none of them."""
    known = {category: code for code, category in enumerate(categories) if not _is_nan(category)}
    nan = next((code for code, category in enumerate(categories) if _is_nan(category)), len(categories))
    listed = values.tolist()
    return np.array([nan if value != value else known.get(value, len(categories)) for value in listed], dtype=np.intp)
