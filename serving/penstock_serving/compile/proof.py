"""Compile an estimator and prove that what was compiled answers as scikit-learn does, or say why not."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import sklearn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from penstock_serving.compile import compare
from penstock_serving.compile.adversarial import REFERENCE, ProofRows, proof_rows, spread
from penstock_serving.compile.emit.registry import Compiled, compile_estimator
from penstock_serving.compile.errors import NotCompiledError
from penstock_serving.compile.independence import Method, array_methods, method_is_independent, rows_independent
from penstock_serving.compile.opening import open_bytes, plan_of, refusals
from penstock_serving.compile.plan import Plan
from penstock_serving.compile.result import Compared, Proof, Proven, Unproven, Versions
from penstock_serving.model.asked import bare
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

__all__ = ["Proof", "Proven", "Unproven", "compile_and_prove", "prove", "prove_again", "rows_independent"]

_CHUNK = 2048
_SINGLY_REFUSED = 400
_SINGLY_ASKED = 48

# what reading the fitted attributes of another version's estimator can raise
_OTHERWISE_MADE = (AttributeError, TypeError, LookupError, ValueError, ArithmeticError)


class _DisprovedError(Exception):
    """The compiled model is wrong for a row."""


def compile_and_prove(estimator: Any, signature: Signature, reference: Matrix) -> Proven | Unproven:
    """Compile a fitted estimator and prove the result equal to it.

    `reference` holds rows [rows, columns] as the server hands them to the model. Takes seconds to a minute. Unproven
    where something is not on the compiler's allow-list, or any answer on any row differs beyond the tolerance.
    """
    with _quietly():
        compiled = _compiled(estimator, signature, reference)
        if isinstance(compiled, Unproven):
            return compiled
        return _prove(compiled, estimator, signature, reference, REFERENCE)


def prove(compiled: Compiled, estimator: Any, signature: Signature, reference: Matrix) -> Proven | Unproven:
    """Compare a compiled model with its estimator on reference and adversarial rows, in batches and singly."""
    with _quietly():
        return _prove(compiled, estimator, signature, reference, REFERENCE)


def prove_again(model: bytes, estimator: Any, signature: Signature, rows: Matrix, kind: str) -> Proven | Unproven:
    """Compare an ONNX form that was compiled earlier with its estimator, by the versions that are here now.

    `rows` [rows, columns] are of that `kind`, and stand for the reference; the estimator must take the first two. What
    the compiler makes of the estimator here serves only to find the rows where something is decided: it is `model` that
    is compared.
    """
    with _quietly():
        compiled = _compiled(estimator, signature, rows)
        if isinstance(compiled, Unproven):
            return compiled
        return _prove(replace(compiled, model=model), estimator, signature, rows, kind)


def _compiled(estimator: Any, signature: Signature, reference: Matrix) -> Compiled | Unproven:
    methods = array_methods(estimator, reference[:2])
    missing = [output.name for output in signature.outputs if output.name not in methods]
    if missing:
        return Unproven(f"its output {missing[0]} is no array and is not compiled")
    dtypes = {name: np.asarray(method(reference[:2])).dtype.str for name, method in methods.items()}
    try:
        return compile_estimator(bare(estimator), signature, dtypes)
    except NotCompiledError as error:
        return Unproven(str(error))
    except _OTHERWISE_MADE as error:
        return Unproven(f"a fitted attribute is not as the compiler knows it ({type(error).__name__}: {error})"[:300])


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings that extreme rows cause, and on one thread: many small calls gain nothing by more."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        yield


def _prove(compiled: Compiled, estimator: Any, signature: Signature, reference: Matrix, kind: str) -> Proven | Unproven:
    try:
        opened = open_bytes(compiled.model, signature)
        plan = plan_of(compiled.model)
        rows = proof_rows(compiled, signature, reference, kind)
        refused = refusals(compiled.model, signature, rows.matrix)
    except BadModelError as error:
        return Unproven(error.message)
    beyond = [name for name in opened if not hasattr(estimator, name)]
    if beyond:
        return Unproven(f"the compiled form gives {beyond[0]}, which the estimator does not")
    theirs = {name: getattr(estimator, name) for name in opened}
    try:
        _require_refused(theirs, rows, np.flatnonzero(refused))
        taken = np.flatnonzero(~refused)
        answers = {name: _answers(method, rows, taken) for name, method in theirs.items()}
        compared = _compare(plan, opened, answers, rows, taken)
        _compare_singly(opened, answers, rows, taken)
    except _DisprovedError as error:
        return Unproven(str(error))
    asked = rows.matrix[taken]
    return Proven(
        compiled.model,
        Proof(
            compared=tuple(compared),
            rows=rows.counts(),
            refused=int(refused.sum()),
            splits=rows.splits,
            splits_visited=rows.visited,
            rows_independent=all(method_is_independent(method, asked) for method in opened.values()),
            estimator_rows_independent=all(method_is_independent(method, asked) for method in theirs.values()),
            versions=versions(),
        ),
    )


def versions() -> Versions:
    """The installed versions, for which a proof made now holds."""
    return Versions(sklearn.__version__, onnx.__version__, onnxruntime.__version__, np.__version__)


def _disproved(name: str, what: str, rows: ProofRows, row: int) -> _DisprovedError:
    return _DisprovedError(f"compiled {name} is not scikit-learn's on a row of the kind '{rows.kinds[row]}': {what}")


def _require_refused(theirs: Mapping[str, Method], rows: ProofRows, refused: Matrix) -> None:
    """Every row that the compiled model refuses is refused by scikit-learn too, asked alone."""
    for at in refused[spread(len(refused), _SINGLY_REFUSED)].tolist():
        for name, method in theirs.items():
            if not _refuses(method, rows.matrix[at : at + 1]):
                raise _disproved(name, "it refuses the row", rows, at)


def _refuses(method: Method, matrix: Matrix) -> bool:
    try:
        method(matrix)
    except (ValueError, TypeError):
        return True
    return False


def _answers(method: Method, rows: ProofRows, taken: Matrix) -> Matrix:
    """scikit-learn's answers to the rows that the compiled model takes."""
    parts = []
    for start in range(0, len(taken), _CHUNK):
        chunk = taken[start : start + _CHUNK]
        try:
            parts.append(method(rows.matrix[chunk]))
        except (ValueError, TypeError) as error:
            at = _first_refused(method, rows, chunk.tolist())
            what = f"it answers a row that scikit-learn refuses ({type(error).__name__})"
            raise _disproved("answer", what, rows, at) from error
    return np.concatenate(parts)


def _first_refused(method: Method, rows: ProofRows, chunk: Sequence[int]) -> int:
    while len(chunk) > 1:
        half = len(chunk) // 2
        chunk = chunk[:half] if _refuses(method, rows.matrix[chunk[:half]]) else chunk[half:]
    return chunk[0]


def _compare(
    plan: Plan, opened: Mapping[str, Method], answers: Mapping[str, Matrix], rows: ProofRows, taken: Matrix
) -> list[Compared]:
    scored = _scores(answers)
    found = []
    for method in plan.methods:
        theirs, ours = answers[method.name], _batched(opened[method.name], rows.matrix[taken])
        try:
            if method.labels:
                agreed = compare.labels(ours, theirs, None if scored is None else compare.margins(scored))
            else:
                agreed = compare.scores(ours, theirs)
        except compare.DifferentError as error:
            raise _disproved(method.name, str(error), rows, int(taken[error.row])) from error
        where = str(rows.kinds[taken[agreed.row]])
        found.append(Compared(method.name, agreed.largest, where, agreed.ties))
    return found


def _scores(answers: Mapping[str, Matrix]) -> Matrix | None:
    """What a label is chosen by: scores, probabilities, or for a clusterer the nearness of the centres."""
    for name in ("decision_function", "predict_proba"):
        if name in answers:
            return answers[name]
    return -answers["transform"] if "transform" in answers else None


def _batched(method: Method, matrix: Matrix) -> Matrix:
    return np.concatenate([method(matrix[start : start + _CHUNK]) for start in range(0, len(matrix), _CHUNK)])


def _compare_singly(
    opened: Mapping[str, Method], answers: Mapping[str, Matrix], rows: ProofRows, taken: Matrix
) -> None:
    """A sample of rows, one call each, against scikit-learn's batch."""
    for name, method in opened.items():
        for at in spread(len(taken), _SINGLY_ASKED).tolist():
            ours, theirs = method(rows.matrix[taken[at : at + 1]]), answers[name][at : at + 1]
            if ours.dtype.kind == "f":
                try:
                    compare.scores(ours, theirs)
                except compare.DifferentError as error:
                    raise _disproved(name, f"asked alone, {error}", rows, int(taken[at])) from error
