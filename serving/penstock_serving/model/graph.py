"""An ONNX graph that somebody else made, as an estimator: there is nothing to compare it with, it *is* the model."""

from collections.abc import Callable
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import GRAPH_FILE
from penstock_serving.model.frame import Matrix

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_LABELS = frozenset({"tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)"})
_SCORES = frozenset({"tensor(float)", "tensor(double)"})
_ERRORS_ONLY = 3


class Graph:
    """A graph as an object with `predict` and, for classifiers with scores, `predict_proba`.

    It takes one tensor [rows, columns], or one tensor [rows, 1] for each column in order. It gives one tensor, the
    prediction, or two: the label and the scores [rows, classes] (converters call that `zipmap=False`).
    """

    predict: Callable[[Matrix], Matrix]
    predict_proba: Callable[[Matrix], Matrix]

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = [(node.name, node.type) for node in session.get_inputs()]
        outputs = [(node.name, node.type) for node in session.get_outputs()]
        unknown = [kind for _, kind in self._inputs if kind not in _DTYPES]
        if unknown:
            raise _unusable(f"it takes an input of type {unknown[0]}")
        match outputs:
            case [(name, kind)] if kind in _DTYPES:
                self.predict = self._answer(name)
            case [(label, label_kind), (scores, kind)] if label_kind in _LABELS and kind in _SCORES:
                self.predict = self._answer(label)
                self.predict_proba = self._answer(scores)
            case _:
                raise _unusable("it gives neither one tensor nor a label and scores; convert it with zipmap=False")

    def _answer(self, output: str) -> Callable[[Matrix], Matrix]:
        def answer(matrix: Matrix) -> Matrix:
            (values,) = self._session.run([output], self._feed(matrix))
            array: Matrix = np.asarray(values)
            return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array

        return answer

    def _feed(self, matrix: Matrix) -> dict[str, Matrix]:
        if len(self._inputs) == 1:
            ((name, kind),) = self._inputs
            return {name: matrix.astype(_DTYPES[kind])}
        if len(self._inputs) != matrix.shape[1]:
            raise ValueError(f"the graph takes {len(self._inputs)} columns")
        return {name: _column(matrix[:, position], kind)[:, None] for position, (name, kind) in enumerate(self._inputs)}


def _column(values: Matrix, kind: str) -> Matrix:
    if kind == "tensor(string)" and any(value is None for value in values):
        raise ValueError("the graph takes no missing text")
    return values.astype(_DTYPES[kind])


def open_graph(content: bytes) -> Graph:
    """Open a graph with onnxruntime, on one thread.

    Raises `BadModelError` (NotAModel): not whole in itself, functions or operators of other domains than ONNX's own,
    inputs or outputs of other kinds than those above, or a graph that onnxruntime does not take.
    """
    import onnxruntime

    from penstock_serving.compile.wire import MalformedError, contents
    from penstock_serving.model.onnx_errors import ONNXRUNTIME_ERRORS

    try:
        found = contents(content)
    except MalformedError as error:
        raise _unusable(f"it is damaged: {error}") from error
    foreign = sorted({domain for domain, _ in found.operators} - {"", "ai.onnx", "ai.onnx.ml"})
    if foreign:
        raise _unusable(f"it has operators of {ascii(foreign[0])[:80]}, which are not ONNX's own")
    if found.peculiar & {"functions", "tensors kept in other files"}:
        raise _unusable(f"it has {', '.join(sorted(found.peculiar))}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except ONNXRUNTIME_ERRORS as error:
        raise _unusable(f"onnxruntime {onnxruntime.__version__} does not take it ({type(error).__name__})") from error
    return Graph(session)


def _unusable(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"{GRAPH_FILE} cannot be served: {why}")
