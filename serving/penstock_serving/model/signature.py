"""What a model takes and gives: read once at packaging, checked on every request, counted by the monitor."""

import functools
from dataclasses import dataclass

from penstock_serving.model.datatype import Datatype
from penstock_serving.model.series import Asked, Series

MAX_COLUMNS = 2048
MAX_CATEGORIES = 100
MAX_NAME = 128
MAX_WIDTH = 1_000_000

Label = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Column:
    """One input column.

    `edges` are the inner boundaries of the monitor's histogram (numeric columns, ascending, at quantiles of the
    reference frame); `categories` the declared vocabulary (BYTES columns); `bounds` the least and the greatest number
    that may be asked about (numeric columns), where the owner has declared them; `series` how the column stands in the
    DataFrame that the model wants, where it wants one.
    """

    name: str
    datatype: Datatype
    takes_missing: bool
    takes_unseen: bool
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    bounds: tuple[float, float] | None = None
    series: Series | None = None

    @property
    def is_time(self) -> bool:
        return self.series is not None and self.series.is_time

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the greatest number that may be asked about: as declared, and as the dtype holds it."""
        held = None if self.series is None else self.series.limits
        if held is None or self.bounds is None:
            return self.bounds or held
        return max(held[0], self.bounds[0]), min(held[1], self.bounds[1])

    @property
    def is_text(self) -> bool:
        return self.datatype is Datatype.BYTES


OUTPUTS = ("predict", "predict_proba", "decision_function", "transform")
"""Methods whose result can be asked for; of those that a model has, the first is its default output."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output tensor, named for the estimator's method: shape [n] when `width` is 0, else [n, width]."""

    name: str
    datatype: Datatype
    width: int


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that the model was made with."""

    python: str
    scikit_learn: str
    numpy: str
    joblib: str


@dataclass(frozen=True)
class Signature:
    """A model's inputs, outputs, classes (empty for regressors), boundaries of its predictions' histogram, and its asking.

    The first output is the default: `predict` where the model has it, `transform` for a mere transformer.
    """

    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]
    classes: tuple[Label, ...]
    prediction_edges: tuple[float, ...]
    versions: Versions
    asked: Asked = Asked.MATRIX

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in the model's order."""
        return tuple(column.name for column in self.columns)

    @functools.cached_property
    def position(self) -> dict[str, int]:
        """Column name to its position."""
        return {column.name: index for index, column in enumerate(self.columns)}

    @functools.cached_property
    def output(self) -> dict[str, Output]:
        """Output name to output."""
        return {output.name: output for output in self.outputs}

    @property
    def default_output(self) -> str:
        """The output that answers a request which asks for none by name."""
        return self.outputs[0].name

    @functools.cached_property
    def is_numeric(self) -> bool:
        """Whether no column is text: the model's matrix is then of floats, else of objects."""
        return not any(column.is_text for column in self.columns)

    @functools.cached_property
    def is_frame(self) -> bool:
        """Whether the model was fitted on a DataFrame."""
        return self.asked is not Asked.MATRIX

    @functools.cached_property
    def has_single_precision(self) -> bool:
        """Whether every column is FP32: the model's matrix is then float32."""
        return all(column.datatype is Datatype.FP32 for column in self.columns)

    @functools.cached_property
    def single_precision(self) -> tuple[int, ...]:
        """Positions of the FP32 columns."""
        return tuple(index for index, column in enumerate(self.columns) if column.datatype is Datatype.FP32)
