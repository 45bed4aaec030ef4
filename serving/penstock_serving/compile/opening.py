"""Opening a compiled model: numpy and onnxruntime, nothing else, and no pickle."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from penstock_serving import contract
from penstock_serving.compile import plan_json
from penstock_serving.compile.operators import require_plain
from penstock_serving.compile.plan import INPUT, PLAN_KEY, REFUSED, Method, Plan
from penstock_serving.compile.wire import MalformedError, metadata
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import ONNX_FILE
from penstock_serving.model.frame import Matrix
from penstock_serving.model.onnx_errors import ONNXRUNTIME_ERRORS
from penstock_serving.model.signature import Signature

_LABEL_KINDS = {"b": bool, "i": int, "u": int, "U": str, "O": str}
_ERRORS_ONLY = 3
_DOUBLE = np.dtype(np.float64)

Answer = Callable[[Matrix], Matrix]


def open_compiled(directory: Path, signature: Signature) -> Mapping[str, Answer]:
    """The methods of the compiled model in `directory` by name, each from a matrix [rows, columns] to an answer.

    Answers have the shape and dtype of scikit-learn's. A method raises `ValueError` for rows that scikit-learn refuses.
    Raises `BadModelError`: no model, one that the compiler did not write, one that does not fit the signature.
    """
    try:
        content = (directory / ONNX_FILE).read_bytes()
    except OSError as error:
        raise BadModelError(
            contract.REASON_NOT_A_MODEL, f"{ONNX_FILE} cannot be read: {error.strerror}; package the model again"
        ) from error
    return open_bytes(content, signature)


def open_bytes(content: bytes, signature: Signature) -> Mapping[str, Answer]:
    """As `open_compiled`, from the model's bytes."""
    require_plain(content)
    session = session_of(content)
    plan = _plan(content)
    _require_fit(plan, session, signature)
    rows = _Rows(plan, signature)
    return {method.name: _Method(session, plan, method, rows) for method in plan.methods}


def plan_of(content: bytes) -> Plan:
    """The plan that a compiled model carries; raises `BadModelError` as `open_compiled` does."""
    require_plain(content)
    return _plan(content)


def _plan(content: bytes) -> Plan:
    try:
        return plan_json.load(metadata(content).get(PLAN_KEY, ""))
    except MalformedError as error:
        raise _misfit(f"it is damaged: {error}") from error


def session_of(content: bytes) -> Any:
    """A session of one thread that holds little memory. Raises `BadModelError` where onnxruntime takes no such model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    options.use_deterministic_compute = True
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except ONNXRUNTIME_ERRORS as error:
        raise _misfit(f"onnxruntime {onnxruntime.__version__} does not take it ({type(error).__name__})") from error


def _misfit(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"{ONNX_FILE} cannot be opened: {why}; package the model again")


def _require_fit(plan: Plan, session: Any, signature: Signature) -> None:
    columns = signature.columns
    given = [(node.name, node.type, list(node.shape)[1:]) for node in session.get_inputs()]
    if plan.columns != len(columns) or given != [(INPUT, "tensor(double)", [len(columns)])]:
        raise _misfit("it takes other columns than the signature says")
    if {column.position for column in plan.text} != {at for at, column in enumerate(columns) if column.is_text}:
        raise _misfit("it takes text in other columns than the signature says")
    outputs = {node.name for node in session.get_outputs()}
    promised = {output.name for output in signature.outputs}
    methods = {method.name for method in plan.methods}
    if not promised <= methods or not methods <= outputs or (plan.safe is not None and REFUSED not in outputs):
        raise _misfit("it does not give all outputs that the signature says")


class _Rows:
    """From a model's matrix to the graph's input tensor, float64 [rows, columns]."""

    def __init__(self, plan: Plan, signature: Signature) -> None:
        self._codes = [
            (column.position, {value: float(code) for code, value in enumerate(column.values)}) for column in plan.text
        ]
        self._numbers = [position for position, column in enumerate(signature.columns) if not column.is_text]

    def read(self, matrix: Matrix) -> Matrix:
        if not self._codes:
            return matrix if matrix.dtype == np.float64 else matrix.astype(np.float64)
        block = np.empty(matrix.shape)
        block[:, self._numbers] = matrix[:, self._numbers]
        for position, codes in self._codes:
            block[:, position] = [codes.get(value, math.nan) for value in matrix[:, position].tolist()]
        return block


class _Method:
    """One method of the compiled model. Any number of threads may call it."""

    __slots__ = ("_both", "_dtype", "_labels", "_only", "_options", "_rows", "_run", "_safe_square", "_session")

    def __init__(self, session: Any, plan: Plan, method: Method, rows: _Rows) -> None:
        # the session's own run() checks the names of its inputs on every call; they were checked when it was opened
        self._session, self._run = session, getattr(session, "_sess", session).run
        self._rows, self._only = rows, [method.name]
        self._both = [method.name, REFUSED]
        self._dtype = np.dtype(method.dtype)
        self._labels = label_array(method) if method.labels else None
        self._safe_square = None if plan.safe is None else min(plan.safe, 1e150) ** 2
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answer for a matrix [rows, columns]; raises `ValueError` where scikit-learn refuses a row."""
        block = matrix if matrix.dtype is _DOUBLE else self._rows.read(matrix)
        safe = self._safe_square
        # NaN, infinity and magnitudes beyond the safe one fail this comparison
        if safe is None or np.vdot(block, block) <= safe:
            (answer,) = self._run(self._only, {INPUT: block}, self._options)
        else:
            answer, refused = self._run(self._both, {INPUT: block}, self._options)
            if refused.any():
                raise ValueError("the model does not take a value of this input")
        if self._labels is not None:
            named: Matrix = self._labels[answer]
            return named
        typed: Matrix = answer if answer.dtype is self._dtype else answer.astype(self._dtype, copy=False)
        return typed


def label_array(method: Method) -> Matrix:
    """A method's labels in scikit-learn's dtype, [labels]; raises `BadModelError` where they are of another."""
    dtype = np.dtype(method.dtype)
    wanted = _LABEL_KINDS.get(dtype.kind)
    if wanted is None or any(type(label) is not wanted for label in method.labels):
        raise _misfit("its labels are not of the datatype it says")
    try:
        return np.array(method.labels, dtype=dtype)
    except OverflowError as error:
        raise _misfit("its labels are not of the datatype it says") from error


def refusals(content: bytes, signature: Signature, matrix: Matrix) -> Matrix:
    """Which rows of a matrix the compiled model refuses, [rows] of bool: what its methods' `ValueError` is about."""
    session = session_of(content)
    plan = _plan(content)
    if plan.safe is None:
        return np.zeros(len(matrix), dtype=bool)
    (refused,) = session.run([REFUSED], {INPUT: _Rows(plan, signature).read(matrix)})
    return np.asarray(refused, dtype=bool)


def probe(content: bytes, plan: Plan, signature: Signature, matrix: Matrix, tensors: Sequence[str]) -> list[Matrix]:
    """Tensors [rows, …] inside a compiled model, for building the rows of its proof."""
    answers: list[Matrix] = session_of(content).run(list(tensors), {INPUT: _Rows(plan, signature).read(matrix)})
    return answers
