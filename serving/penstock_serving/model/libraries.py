"""Importing what computes a model that is not compiled: scikit-learn, and pandas only where it is asked by DataFrames."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import FrameType

_LEFT_OUT = ("pandas", "rich")
"""What scikit-learn tries, for DataFrames and for bars of progress, and does without where it is not there."""


class _NotForScikitLearn:
    """Finds what is left out for everybody but scikit-learn."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Nothing, so that others look; raises `ModuleNotFoundError` for what is left out where scikit-learn asks."""
        if name in _LEFT_OUT and _importer(sys._getframe(1)).startswith("sklearn."):
            raise ModuleNotFoundError(f"No module named {name!r} for a model that is asked by arrays", name=name)
        return None


def _importer(frame: FrameType | None) -> str:
    """The module whose code runs the import that this frame is part of."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("importlib."):
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


_UNNEEDED = ("f2py", "testing")
"""Parts of NumPy that it imports when they are asked for, as SciPy does of everything there is when it copies its names."""


@contextmanager
def _unneeded_aside() -> Iterator[None]:
    """Without compilers of Fortran and tools for tests: 5 MB and a tenth of a second."""
    numpy = importlib.import_module("numpy")
    aside = [name for name in _UNNEEDED if name not in vars(numpy)]
    for name in aside:
        setattr(numpy, name, None)
    try:
        yield
    finally:
        for name in aside:
            if getattr(numpy, name) is None:
                # from here on NumPy imports it again for whoever asks
                delattr(numpy, name)


def import_scikit_learn() -> None:
    """Import scikit-learn, and let it not import pandas and rich, now or later.

    It does so wherever they are installed, and needs them only where it is given a DataFrame or shows progress; a quarter
    of a second and some 30 MB are saved. Whoever else imports them, a model's own code perhaps, finds them.
    """
    if "pandas" not in sys.modules and _NotForScikitLearn not in sys.meta_path:
        sys.meta_path.insert(0, _NotForScikitLearn)
    with _unneeded_aside():
        importlib.import_module("sklearn")


def import_pandas() -> None:
    """Import pandas, and only then scikit-learn; raises `ModuleNotFoundError` where it is not installed."""
    importlib.import_module("pandas")
    importlib.import_module("sklearn")
