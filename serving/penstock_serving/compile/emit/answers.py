"""From scores in the graph to the answers of an estimator's methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from penstock_serving.compile.emit.exact import require
from penstock_serving.compile.emit.graph import Graph
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Label


@dataclass(frozen=True, slots=True)
class Answer:
    """What one method gives: a float64 tensor, or with `labels` an int64 tensor [rows] of positions in them."""

    tensor: str
    labels: tuple[Label, ...] = ()
    label_dtype: str = ""


Answers = Mapping[str, Answer]


def classified(estimator: Any, positions: str) -> Answer:
    """The labels of a classifier at positions (int64, [rows])."""
    classes = estimator.classes_
    require(isinstance(classes, np.ndarray) and classes.ndim == 1, estimator, "several targets")
    labels: list[Any] = classes.tolist()
    allowed = classes.dtype.kind in "biuU" or (classes.dtype == object and all(type(label) is str for label in labels))
    require(allowed, estimator, f"classes of type {classes.dtype}")
    return Answer(positions, tuple(labels), classes.dtype.str)


def largest(graph: Graph, scores: str) -> str:
    """The position of the largest score [rows, classes]; of equal ones the first, as numpy's argmax."""
    return graph.add("ArgMax", [scores], axis=1, keepdims=0)


def above(graph: Graph, scores: str, threshold: float) -> str:
    """1 where the score [rows] is greater than the threshold, else 0."""
    return graph.cast(graph.add("Greater", [scores, graph.doubles(threshold)]), TensorProto.INT64)


def above_zero(graph: Graph, scores: str) -> str:
    """1 where the score [rows] is greater than zero, else 0."""
    return above(graph, scores, 0.0)


def at_least(graph: Graph, scores: str, threshold: float) -> str:
    """1 where the score [rows] is the threshold or greater, else 0."""
    return graph.cast(graph.add("GreaterOrEqual", [scores, graph.doubles(threshold)]), TensorProto.INT64)


def both(graph: Graph, positive: str) -> str:
    """The probabilities [rows, 2] of two classes from the second one's [rows, 1]."""
    return graph.concatenated([graph.add("Sub", [graph.doubles(1.0), positive]), positive])


def logistic(graph: Graph, scores: str) -> str:
    """The logistic function of scores."""
    return graph.add("Sigmoid", [scores])


def softmax(graph: Graph, scores: str) -> str:
    """The softmax over the columns of scores [rows, classes]."""
    return graph.add("Softmax", [scores], axis=1)


def affine(graph: Graph, tensor: str, coefficients: Matrix, intercept: Any) -> str:
    """`tensor @ coefficients + intercept` for coefficients [columns, outputs]."""
    product = graph.add("MatMul", [tensor, graph.doubles(coefficients)])
    return graph.add("Add", [product, graph.doubles(np.atleast_1d(np.asarray(intercept, dtype=np.float64)))])
