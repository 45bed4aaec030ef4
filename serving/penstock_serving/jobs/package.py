"""Packaging a fitted model: one directory, with everything that serving needs to take it at its word."""

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from penstock_serving import contract
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model.archive import discard
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import GOLDEN_FILE, MODEL_FILE, SIGNATURE_FILE
from penstock_serving.model.frame import Frame, Matrix, assemble
from penstock_serving.model.signature import Signature
from penstock_serving.model.signature_json import dump
from penstock_serving.protocol import tensors, v2

_GOLDEN_ROWS = 5


def package(model: Any, frame: Frame, directory: Path | str, golden: Frame | None = None) -> str:
    """Write the package of a fitted scikit-learn model into the new `directory`; return its digest, `sha256:…`.

    `frame` holds named columns of reference rows (a dict of arrays, or a DataFrame) and the model must have been fitted
    on `matrix(frame)`, or an array of the same columns. It is read for datatypes, histogram boundaries and categories;
    of its rows only five, evenly spread, enter the package, as golden rows, or those of `golden`, which may be synthetic.

    Raises `BadModelError` when the directory is not empty, or the model cannot be served as it is: the golden rows are
    asked through the very code that serves.
    """
    target = Path(directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadModelError(contract.REASON_MISCONFIGURED, f"{str(target)!r} is there already; package into a new one")
    signature, matrix = read_signature(model, frame)
    rows = matrix[spread(len(matrix))] if golden is None else _golden_rows(golden, signature)
    document = golden_document(model, signature, rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    discard(partial)
    partial.mkdir()
    joblib.dump(model, partial / MODEL_FILE)
    (partial / SIGNATURE_FILE).write_bytes(dump(signature))
    (partial / GOLDEN_FILE).write_bytes(document)
    digest = tree_digest(partial)
    partial.replace(target)
    return digest


def golden_document(model: Any, signature: Signature, rows: Matrix) -> bytes:
    """A request for `rows` [rows, columns] of every output, and the response that it must get, as `golden.json`."""
    request = v2.encode_request(rows, signature, tuple(signature.output))
    call = v2.decode_call(json.dumps(request).encode(), None, signature)
    outputs = [tensors.encode(signature.output[name], getattr(model, name)(call.matrix)) for name in call.outputs]
    return (json.dumps({"request": request, "response": {"outputs": outputs}}, allow_nan=False) + "\n").encode()


def spread(rows: int) -> list[int]:
    """Positions of at most five rows, evenly spread."""
    return sorted({round(position) for position in np.linspace(0, rows - 1, _GOLDEN_ROWS)})


def _golden_rows(golden: Frame, signature: Signature) -> Matrix:
    columns = [np.asarray(golden[name]) for name in signature.names]
    return assemble(columns, [column.datatype for column in signature.columns])
