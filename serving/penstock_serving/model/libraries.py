"""Importing what computes a model that is not compiled: scikit-learn, and pandas only where it is asked by DataFrames."""

import importlib
import sys
from typing import Any


def import_scikit_learn() -> None:
    """Import scikit-learn without pandas, which it imports with itself wherever that is installed.

    It needs it only where it is given a DataFrame; a quarter of a second and 25 MB are saved. Whoever imports pandas
    afterwards, a model's own code perhaps, finds it.
    """
    if "sklearn" in sys.modules or "pandas" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules["pandas"] = None
    try:
        importlib.import_module("sklearn.utils.fixes")
    finally:
        del modules["pandas"]


def import_pandas() -> None:
    """Import pandas, and only then scikit-learn; raises `ModuleNotFoundError` where it is not installed."""
    importlib.import_module("pandas")
    importlib.import_module("sklearn")
