"""Packaging a fitted model: one directory, with everything that serving needs to take it at its word."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib

from penstock_serving import contract
from penstock_serving.jobs.contents import Reference, Source, contents
from penstock_serving.jobs.reference import Bounds
from penstock_serving.jobs.suit import Dtypes
from penstock_serving.model import card as cards
from penstock_serving.model.archive import discard
from penstock_serving.model.card import Card
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import MODEL_FILE
from penstock_serving.model.frame import Frame


def package(
    model: Any,
    frame: Frame,
    directory: Path | str,
    golden: Frame | None = None,
    *,
    bounds: Bounds | None = None,
    dtypes: Dtypes | None = None,
    card: Card = cards.EMPTY,
) -> str:
    """Write the package of a fitted scikit-learn model into the new `directory`; return its digest, `sha256:…`.

    `frame` holds named columns of reference rows (a DataFrame, or a dict of arrays) and the model must have been fitted
    on a DataFrame of these columns, on `matrix(frame)`, or an array of them. It is read for datatypes, histogram
    boundaries and categories; of its rows only five, evenly spread, enter the package, as golden rows, or those of
    `golden`, which may be synthetic.
    `bounds` declares the range of numeric columns, `dtypes` those of the DataFrame that the model was fitted on, where
    `frame` is none or another (pandas' names, or `category[S,M,L]`), `card` what people want to know of the model. The
    same arguments give the same digest.

    Raises `BadModelError` when the directory is not empty, or the model cannot be served as it is: the golden rows are
    asked through the very code that serves.
    """
    target = require_new(directory)
    source = Source(model, MODEL_FILE, _pickled(model))
    return write(target, contents(source, Reference(frame, golden, bounds, dtypes), card).files)


def _pickled(model: Any) -> bytes:
    out = io.BytesIO()
    try:
        joblib.dump(model, out)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise BadModelError(
            contract.REASON_NOT_A_MODEL,
            f"a {type(model).__name__} cannot be pickled ({str(error)[:200]}); "
            "its classes and functions must be in modules that the server can import",
        ) from error
    return out.getvalue()


def require_new(directory: Path | str) -> Path:
    """The directory, if it is absent or empty; else raises `BadModelError`."""
    target = Path(directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadModelError(contract.REASON_MISCONFIGURED, f"{str(target)!r} is there already; package into a new one")
    return target


def write(target: Path, files: Mapping[str, bytes]) -> str:
    """Make the directory with these files, visible in one step; return its digest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    discard(partial)
    partial.mkdir()
    for name, content in files.items():
        (partial / name).write_bytes(content)
    digest = tree_digest(partial)
    partial.replace(target)
    return digest
