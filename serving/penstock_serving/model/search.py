"""Searches over parameters: the estimator that one found best is the model."""

from typing import Any

from sklearn.model_selection import GridSearchCV, RandomizedSearchCV


def found(estimator: Any) -> Any:
    """The estimator that a fitted search answers by; any other is itself."""
    while type(estimator) in {GridSearchCV, RandomizedSearchCV} and hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    return estimator
