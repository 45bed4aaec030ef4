"""A classifier by nearest neighbours as the numbers that its labels are computed from, so that native code can do that.

It is one whose arithmetic is known (`model.arithmetic`), after steps that take each column by itself. One that searches in
another way, or among so many points that to hold them again would cost too much, is called as ever.
"""

from dataclasses import dataclass
from typing import Any

from penstock_serving.model.arithmetic import arithmetic, has_settings, kind, steps_of
from penstock_serving.model.frame import Matrix
from penstock_serving.model.search import found

_MOST_NUMBERS = 1_000_000
"""Of all points: native code holds 8 MB for them, and a quarter of that to find them by."""
_PIPELINE = "sklearn.pipeline.Pipeline"
_CLASSIFIER = "sklearn.neighbors._classification.KNeighborsClassifier"
_TREE = "sklearn.neighbors._kd_tree.KDTree"
_DISTANCE = "sklearn.metrics._dist_metrics.EuclideanDistance64"
_DISTANCE_AT = 11
"""Where a tree's state has how distances are computed."""
_TOGETHER = 16
"""Points of a leaf, as native code has them: the last one is filled up."""

ColumnStep = tuple[str, Matrix]
"""What is done to every column ("add", "subtract", "multiply" or "divide"), and the number by which, [columns]."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What `steps` make of a row, one after the other, is compared with `points` [points, columns] by Euclidean distance.
    The nearest ones, `voting` of them, vote for those of `classes` [classes] that are at their `codes` [points].

    The arrays are the estimator's own.
    """

    steps: tuple[ColumnStep, ...]
    points: Matrix
    codes: Matrix
    classes: Matrix
    voting: int


def neighbours_of(estimator: Any) -> Neighbours | None:
    """How neighbours vote for the predictions of a fitted estimator; None where they do not, or in a way not known here."""
    try:
        return _read(estimator)
    except Exception:  # noqa: BLE001  (it is a matter of speed alone, and the model is served without)
        return None


def _read(estimator: Any) -> Neighbours | None:
    *before, classifier = _in_turn(found(estimator))
    if kind(classifier) != _CLASSIFIER or arithmetic(classifier, "predict") is None:
        return None
    tree = classifier._tree
    # the tree's own, as a classifier may be fitted on a tree that was made with another than its parameters say
    if kind(tree) != _TREE or kind(tree.__getstate__()[_DISTANCE_AT]) != _DISTANCE:
        return None
    points: Matrix = tree.get_arrays()[0]
    steps: list[ColumnStep] = []
    for step in before:
        taken = _column_steps(step)
        if taken is None:
            return None
        steps += taken
    count, columns = points.shape
    if -(-count // _TOGETHER) * _TOGETHER * columns > _MOST_NUMBERS:
        return None
    return Neighbours(tuple(steps), points, classifier._y, classifier.classes_, classifier.n_neighbors)


def _in_turn(estimator: Any) -> list[Any]:
    """The steps of a pipeline that do something; of any other estimator itself."""
    if kind(estimator) != _PIPELINE or has_settings(estimator):
        return [estimator]
    return steps_of(estimator) or [estimator]


def _column_steps(scaler: Any) -> list[ColumnStep] | None:
    """What a scaler does to each column, in the order in which its arithmetic does it."""
    if arithmetic(scaler, "transform") is None:
        return None
    match kind(scaler):
        case "sklearn.preprocessing._data.StandardScaler":
            moved = [("subtract", scaler.mean_)] if scaler.with_mean else []
            return [*moved, ("divide", scaler.scale_)] if scaler.with_std else moved
        case "sklearn.preprocessing._data.MinMaxScaler" if not scaler.clip:
            return [("multiply", scaler.scale_), ("add", scaler.min_)]
    return None
