"""Packages made of others."""

import shutil
from dataclasses import replace
from typing import Any

from penstock_serving.model.digest import tree_digest
from penstock_serving.model.files import EXPLAIN_FILE, ONNX_FILE


def uncompiled(packaged: Any) -> Any:
    """The same package without its compiled form, so that scikit-learn serves it."""
    return _without(packaged, ONNX_FILE)


def unexplained(packaged: Any) -> Any:
    """The same package without what explanations are computed from."""
    return _without(packaged, EXPLAIN_FILE)


def _without(packaged: Any, file: str) -> Any:
    root = packaged.root / f"without-{file}"
    shutil.copytree(packaged.directory, root / "new")
    (root / "new" / file).unlink()
    made = replace(packaged, root=root, digest=tree_digest(root / "new"))
    (root / "new").rename(made.directory)
    return made
