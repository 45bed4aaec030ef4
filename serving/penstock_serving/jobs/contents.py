"""What goes into a package: every file's bytes, made from a fitted model and reference rows, without touching a disk."""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.jobs.columns import plain
from penstock_serving.jobs.compiling import Equal, compiled_form, explainer
from penstock_serving.jobs.histograms import reference_histograms
from penstock_serving.jobs.importance import importance
from penstock_serving.jobs.positions import positioned
from penstock_serving.jobs.reference import Bounds, read_signature
from penstock_serving.jobs.suit import Dtypes, suited
from penstock_serving.model import card as cards
from penstock_serving.model import serving as serving_json
from penstock_serving.model.card import Card
from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import (
    CARD_FILE,
    EXPLAIN_FILE,
    GOLDEN_FILE,
    ONNX_FILE,
    PROOF_FILE,
    REFERENCE_FILE,
    SERVING_FILE,
    SIGNATURE_FILE,
)
from penstock_serving.model.frame import Frame, Matrix, assemble
from penstock_serving.model.outputs import methods
from penstock_serving.model.series import Asked
from penstock_serving.model.serving import Compiled, Serving
from penstock_serving.model.signature import Signature
from penstock_serving.model.signature_json import dump
from penstock_serving.protocol import v2
from penstock_serving.protocol.errors import RequestError
from penstock_serving.protocol.outputs import checked, document

MADE_FILES = frozenset(
    {
        SIGNATURE_FILE,
        GOLDEN_FILE,
        REFERENCE_FILE,
        PROOF_FILE,
        ONNX_FILE,
        EXPLAIN_FILE,
        SERVING_FILE,
        CARD_FILE,
    }
)
"""Files that packaging makes; the model's own file comes beside them."""

_GOLDEN_ROWS = 5
Methods = Mapping[str, Callable[[Matrix], Matrix]]


@dataclass(frozen=True, slots=True)
class Source:
    """A fitted model, and the file of the package that holds it, as it stands there."""

    model: Any
    file: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows that the model was made with, by named columns, and what the owner declares of them.

    `golden` (by default five rows of the frame, evenly spread) are kept in the package and asked before it serves.
    `dtypes` are those of the DataFrame that the model was fitted on, by column, where the frame does not tell them.
    """

    frame: Frame
    golden: Frame | None = None
    bounds: Bounds | None = None
    dtypes: Dtypes | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a package by name, and what was read while they were made."""

    files: dict[str, bytes]
    signature: Signature
    matrix: Matrix
    methods: Methods
    serving: Serving


def contents(source: Source, reference: Reference, card: Card = cards.EMPTY) -> Contents:
    """Make every file of a package, the model's own included.

    Raises `BadModelError` when the frame or the model cannot be served as it is: the golden rows are asked through the
    very code that serves.
    """
    with warnings.catch_warnings():
        # A model that was fitted on named numbers and is asked by matrices says of each that it has no names.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return _made(source, reference, card)


def _made(source: Source, reference: Reference, card: Card) -> Contents:
    found = suited(source.model, reference.frame, reference.dtypes)
    model = found.model
    signature, matrix = read_signature(model, found.columns, reference.bounds)
    by_position = positioned(model, signature, matrix) if isinstance(model, FramedModel) else None
    if by_position is not None:
        signature = replace(signature, asked=Asked.POSITIONS)
    ask = methods(by_position or model, [output.name for output in signature.outputs])
    rows = matrix[spread(len(matrix))] if reference.golden is None else _golden_rows(reference.golden, signature)
    files = {
        source.file: source.content,
        SIGNATURE_FILE: dump(signature),
        GOLDEN_FILE: golden_document(ask, signature, rows),
        REFERENCE_FILE: reference_histograms(signature, matrix, ask[signature.default_output]),
    }
    form = compiled_form(model, signature, matrix)
    files[PROOF_FILE] = form.proof
    if isinstance(form, Equal):
        files[ONNX_FILE] = form.onnx
    explained = explainer(model, signature, matrix, rows)
    if isinstance(explained, bytes):
        files[EXPLAIN_FILE] = explained
    serving = Serving(
        estimator=source.file,
        compiled=Compiled(_sha256(form.onnx), _sha256(form.proof), _sha256(source.content))
        if isinstance(form, Equal)
        else None,
        not_compiled="" if isinstance(form, Equal) else form.reason,
        rows_independent=not form.rows_dependent,
        rows_dependent=form.rows_dependent,
        not_explained="" if isinstance(explained, bytes) else explained.reason,
    )
    files[SERVING_FILE] = serving_json.dump(serving)
    moved = card.importance or importance(ask, signature, matrix)
    files[CARD_FILE] = cards.dump(replace(card, importance=moved, size_bytes=len(source.content)))
    return Contents(files, signature, matrix, ask, serving)


def golden_document(ask: Methods, signature: Signature, rows: Matrix) -> bytes:
    """A request for `rows` [rows, columns] of every output, and the response that it must get, as `golden.json`."""
    request = v2.encode_request(rows, signature, tuple(signature.output))
    try:
        call = v2.decode_call(json.dumps(request).encode(), None, signature)
    except RequestError as error:
        raise BadModelError(contract.REASON_NOT_A_MODEL, f"the golden rows cannot be asked: {error.message}") from error
    outputs = [document(checked(signature.output[name], ask[name](call.matrix))) for name in call.outputs]
    return (json.dumps({"request": request, "response": {"outputs": outputs}}, allow_nan=False) + "\n").encode()


def spread(rows: int) -> list[int]:
    """Positions of at most five rows, evenly spread."""
    return sorted({round(position) for position in np.linspace(0, rows - 1, _GOLDEN_ROWS)})


def _golden_rows(golden: Frame, signature: Signature) -> Matrix:
    given = plain(golden)
    missing = [name for name in signature.names if name not in given]
    if missing:
        raise BadModelError(contract.REASON_NOT_A_MODEL, f"the golden rows have no column {missing[0]!r}")
    columns = [given[name].values for name in signature.names]
    return assemble(columns, [column.datatype for column in signature.columns])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
