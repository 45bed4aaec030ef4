"""What opening a compiled model needs beside its graph; travels in the metadata of the ONNX model."""

from dataclasses import dataclass

from penstock_serving.model.signature import Label

INPUT = "X"
REFUSED = "refused"
PLAN_KEY = "penstock.plan"


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A text column's codes: the value at position i (None for missing) enters the graph as i, any other as NaN."""

    position: int
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: the graph's output of the same name, and the numpy dtype (`dtype.str`) that scikit-learn answers in.

    With `labels`, the graph's output [rows] holds positions in them.
    """

    name: str
    dtype: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a matrix enters the graph and how answers leave it.

    Every column is one column of the float64 input tensor [rows, columns]. `safe` is a magnitude: rows whose values all
    are numbers of at most this magnitude are surely taken; for others the graph's output `refused` [rows] tells. None
    where the model takes everything.
    """

    columns: int
    text: tuple[TextColumn, ...]
    safe: float | None
    methods: tuple[Method, ...]
