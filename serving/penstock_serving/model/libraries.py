"""Importing what computes a model that is not compiled: scikit-learn, and pandas only where it is asked by DataFrames."""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import FrameType


class _NotForScikitLearn:
    """Finds pandas for everybody but scikit-learn, which tries it at every turn and does without where it is not there."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Nothing, so that others look; raises `ModuleNotFoundError` for pandas where scikit-learn asks."""
        if name == "pandas" and _importer(sys._getframe(1)).startswith("sklearn."):
            raise ModuleNotFoundError("No module named 'pandas' for a model that is asked by arrays", name="pandas")
        return None


def _importer(frame: FrameType | None) -> str:
    """The module whose code runs the import that this frame is part of."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("importlib."):
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


def import_scikit_learn() -> None:
    """Import scikit-learn, and let it not import pandas, now or later.

    It does so wherever pandas is installed, and needs it only where it is given a DataFrame; a quarter of a second and
    some 30 MB are saved. Whoever else imports pandas, a model's own code perhaps, finds it.
    """
    if "pandas" not in sys.modules and _NotForScikitLearn not in sys.meta_path:
        sys.meta_path.insert(0, _NotForScikitLearn)
    importlib.import_module("sklearn")


def import_pandas() -> None:
    """Import pandas, and only then scikit-learn; raises `ModuleNotFoundError` where it is not installed."""
    importlib.import_module("pandas")
    importlib.import_module("sklearn")
