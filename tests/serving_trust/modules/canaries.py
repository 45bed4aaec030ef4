"""An object that makes a file when it is built again from a skops file, and one that does when a pickle is opened."""

import os
from pathlib import Path
from typing import Any


class Canary:
    """Sings, by making a file, as soon as its state is set."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["path"]).touch()


class PickledCanary:
    """Sings, through a shell, when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)
