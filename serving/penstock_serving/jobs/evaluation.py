"""How good a model is on labelled rows, and how good one is that knows no columns."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.card import Metric
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

_ON = "the labelled rows given at packaging"
Methods = Mapping[str, Callable[[Matrix], Matrix]]


def evaluate(methods: Methods, signature: Signature, matrix: Matrix, labels: Matrix) -> tuple[Metric, ...]:
    """Metrics of a classifier or regressor on rows [rows, columns] with labels [rows].

    Classifiers: accuracy, log loss where there are probabilities, area under the ROC curve where there are two classes;
    the baseline gives every row the classes' shares. Regressors: R² and mean absolute error; the baseline gives every
    row the mean. The shares and the mean are those of the very labels, so the baseline is a flattered one.

    Raises `BadModelError` for a model without `predict` or labels of other classes.
    """
    if "predict" not in signature.output or signature.output["predict"].width:
        raise _unusable("metrics are of models that predict one label or number; leave the labels out")
    if len(labels) != len(matrix):
        raise _unusable("there is not one label for each row")
    if signature.classes:
        return _classified(methods, signature, matrix, labels)
    return _regressed(methods, matrix, labels)


def _unusable(why: str) -> BadModelError:
    return BadModelError(contract.REASON_MISCONFIGURED, why)


def _classified(methods: Methods, signature: Signature, matrix: Matrix, labels: Matrix) -> tuple[Metric, ...]:
    from sklearn.metrics import log_loss, roc_auc_score

    positions = {label: position for position, label in enumerate(signature.classes)}
    truth = _labels(labels, signature)
    unknown = [label for label in truth if label not in positions]
    if unknown:
        raise _unusable("the labels hold a class that the model does not know")
    codes = np.array([positions[label] for label in truth])
    shares = np.bincount(codes, minlength=len(positions)) / len(codes)
    predicted = methods["predict"](matrix).tolist()
    accuracy = float(np.mean([one == other for one, other in zip(predicted, truth, strict=True)]))
    metrics = [Metric("accuracy", accuracy, float(shares.max()), _ON)]
    if "predict_proba" in signature.output:
        scores = methods["predict_proba"](matrix)
        known = list(range(len(positions)))
        flat = np.tile(shares, (len(codes), 1))
        loss, baseline = log_loss(codes, scores, labels=known), log_loss(codes, flat, labels=known)
        metrics.append(Metric("log_loss", float(loss), float(baseline), _ON))
        if len(positions) == 2 and len(set(codes.tolist())) == 2:
            metrics.append(Metric("roc_auc", float(roc_auc_score(codes, scores[:, 1])), 0.5, _ON))
    return tuple(metrics)


def _labels(labels: Matrix, signature: Signature) -> list[Any]:
    """Labels in the type of the model's classes: a file of rows knows numbers and texts only."""
    kind = type(signature.classes[0])
    listed = labels.tolist()
    if kind is str:
        return [str(label) for label in listed]
    return [kind(label) if isinstance(label, bool | int | float) else label for label in listed]


def _regressed(methods: Methods, matrix: Matrix, labels: Matrix) -> tuple[Metric, ...]:
    if labels.dtype.kind not in "fiub":
        raise _unusable("the labels of a regressor are numbers")
    truth = labels.astype(np.float64)
    predicted = methods["predict"](matrix)
    if predicted.dtype.kind not in "fiub":
        raise _unusable("metrics are of models that predict one label or number; leave the labels out")
    mean = np.full_like(truth, truth.mean())
    spread = float(((truth - mean) ** 2).sum())
    error = float(np.abs(truth - predicted).mean())
    metrics = [Metric("mean_absolute_error", error, float(np.abs(truth - mean).mean()), _ON)]
    if spread > 0:
        metrics.insert(0, Metric("r2", 1 - float(((truth - predicted) ** 2).sum()) / spread, 0.0, _ON))
    return tuple(metrics)
