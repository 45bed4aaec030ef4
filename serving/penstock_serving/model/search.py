"""Searches over parameters: the estimator that one found best is the model."""

from typing import Any

_SEARCHES = frozenset({"GridSearchCV", "RandomizedSearchCV"})


def found(estimator: Any) -> Any:
    """The estimator that a fitted search of scikit-learn's answers by; any other is itself."""
    while _is_search(type(estimator)) and hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    return estimator


def _is_search(kind: type) -> bool:
    # told by name: to import what searches would cost every server of a model that is none
    return kind.__module__ == "sklearn.model_selection._search" and kind.__name__ in _SEARCHES
