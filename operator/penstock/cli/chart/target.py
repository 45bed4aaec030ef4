"""Where a chart goes: a PNG or SVG file. Looked at before any work is done for it."""

from importlib.util import find_spec
from pathlib import Path

SUFFIXES = (".png", ".svg")


class UnusableTargetError(ValueError):
    """A file that a chart cannot go to; the message says why and what to write instead."""


def usable(name: str) -> Path:
    """The file of that name.

    Raises:
        UnusableTargetError: when its suffix is no picture's, its folder does not exist, or matplotlib is missing.
    """
    path = Path(name)
    if path.suffix.lower() not in SUFFIXES:
        raise UnusableTargetError(f"{name!r} is no picture: end the file's name in .png or .svg")
    if not path.parent.is_dir():
        raise UnusableTargetError(f"{name!r} has no folder to go to: make {path.parent} first")
    if path.is_dir():
        raise UnusableTargetError(f"{name!r} is a folder: write the name of a file in it")
    if find_spec("matplotlib") is None:
        raise UnusableTargetError(
            "a chart in a file needs matplotlib, which is not installed: run pip install 'penstock[chart]'"
        )
    return path
