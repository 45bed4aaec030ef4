"""Models of every kind that the lane serves, and asking both ways: the lane, and Python."""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import orjson
from penstock_serving.compile.opening import open_bytes
from penstock_serving.compile.proof import compile_and_prove
from penstock_serving.compile.result import Proven
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix, matrix
from penstock_serving.model.load import Golden, Model
from penstock_serving.model.neighbours import neighbours_of
from penstock_serving.model.signature import Signature
from penstock_serving.protocol import v2
from penstock_serving.protocol.errors import RequestError
from penstock_serving.server.engine import compute
from penstock_serving.server.identity import Identity
from penstock_serving.server.lane.front import Front
from penstock_serving.server.lane.opening import open_front
from penstock_serving.server.observe import Observer
from sklearn import compose, ensemble, impute, linear_model, neural_network, preprocessing, tree
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data
from tests.serving_lane.lane_called import CALLED, estimator_of, methods_of, of_kinds, scaled

IDENTITY = Identity("fraud", "fraud-3", "sha256:" + "0" * 64)


def _words(handle: str) -> Any:
    return preprocessing.OneHotEncoder(handle_unknown=handle, sparse_output=False)


def _mixed(last: Any, handle: str = "ignore") -> Any:
    numbers = make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    steps = [("numbers", numbers, [0, 1, 4, 5]), ("words", _words(handle), [2, 3])]
    return make_pipeline(compose.ColumnTransformer(steps), last)


def _logistic() -> Any:
    return scaled(linear_model.LogisticRegression())


def _forest() -> Any:
    return ensemble.RandomForestClassifier(5, max_depth=5, random_state=0)


def _boosting() -> Any:
    return ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0)


def _bounded(signature: Signature, rows: Matrix) -> Signature:
    """The signature with bounds on every column of numbers, which most rows are within."""
    columns = []
    for at, column in enumerate(signature.columns):
        if not column.is_text and column.datatype is not Datatype.BOOL:
            low, high = np.nanquantile(rows[:, at].astype(np.float64), [0.02, 0.98]).tolist()
            column = replace(column, bounds=(low, high))
        columns.append(column)
    return replace(signature, columns=tuple(columns))


Made = tuple[Callable[[], Any], Callable[[], data.Frame], Any]
MODELS: dict[str, Made] = {
    "numbers, text labels": (_logistic, data.numeric, data.THREE),
    "numbers, whole labels": (_logistic, data.numeric, data.NUMBERED),
    "numbers, truth labels": (_logistic, data.numeric, data.TRUTH),
    "one column": (_logistic, lambda: {"x": data.NUMBERS[:, 0]}, data.TWO),
    "a forest": (_forest, data.numeric, data.THREE),
    "missing values, imputed": (
        lambda: make_pipeline(impute.SimpleImputer(), linear_model.LogisticRegression()),
        data.with_missing,
        data.TWO,
    ),
    "missing values, histogram boosting": (_boosting, data.with_missing, data.THREE),
    "a column of every kind": (_logistic, of_kinds, data.TWO),
    "whole numbers": (_logistic, data.whole_numbers, data.TWO),
    "single precision": (_forest, data.single_precision, data.TWO),
    "epochs": (_logistic, data.epochs, data.TWO),
    "text, any": (lambda: _mixed(linear_model.LogisticRegression()), data.mixed, data.THREE),
    "text, closed": (lambda: _mixed(_forest(), "error"), data.mixed_with_missing, data.NUMBERED),
    "text, takes everything": (
        lambda: make_pipeline(
            compose.ColumnTransformer([("words", _words("ignore"), [2, 3])], remainder="passthrough"), _boosting()
        ),
        data.mixed_with_missing,
        data.THREE,
    ),
    "text, regressor": (lambda: _mixed(linear_model.Ridge()), data.mixed, data.TARGET),
    "regressor": (lambda: scaled(linear_model.Ridge()), data.numeric, data.TARGET),
    "regressor, tree": (lambda: tree.DecisionTreeRegressor(max_depth=6), data.numeric, data.TARGET),
    "regressor, boosting": (
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=5),
        data.with_missing,
        data.POSITIVE,
    ),
    "regressor, perceptron": (
        lambda: scaled(neural_network.MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, tol=1e9, random_state=0)),
        data.numeric,
        data.TARGET,
    ),
    "regressor, single precision": (linear_model.Ridge, data.single_precision, data.TARGET.astype(np.float32)),
    "regressor, several": (lambda: scaled(linear_model.Ridge()), data.numeric, data.SEVERAL),
    "transformer": (preprocessing.StandardScaler, data.numeric, None),
    "bounded": (_logistic, data.numeric, data.TWO),
    "bounded, every kind": (_logistic, of_kinds, data.TWO),
    "bounded, text": (lambda: _mixed(linear_model.Ridge()), data.mixed, data.TARGET),
}


KINDS = (*MODELS, *CALLED)


class Answer(NamedTuple):
    """An answer's body, and what the monitor is told [rows, columns + 1]."""

    body: bytes
    observed: Matrix


@dataclass(frozen=True)
class Ways:
    """One model, asked both ways."""

    model: Model
    front: Front
    rows: Matrix

    @property
    def signature(self) -> Signature:
        return self.model.signature

    def natively(self, bodies: Sequence[bytes]) -> list[Answer | None]:
        """What the lane says to each, one after the other; None where it leaves one to Python."""
        return [self._one(body) for body in bodies]

    def _one(self, body: bytes) -> Answer | None:
        (answer,), (rows,), observed = self.front.ask([body])
        assert rows == len(observed)
        assert (answer is None) == (rows == 0)
        return None if answer is None else Answer(answer, observed)

    def in_python(self, body: bytes) -> Answer | RequestError:
        """What Python answers, or how it refuses."""
        try:
            call = v2.decode_call(body, None, self.signature)
            computed = compute(self.model, call)
        except RequestError as error:
            return error
        answer = v2.response(IDENTITY.name, call, computed.outputs, IDENTITY.parameters, IDENTITY.version).body
        return Answer(answer, Observer(self.signature).rows(call.matrix, computed.predictions))

    def check(self, body: bytes) -> bool:
        """Whether the lane answers; fails where it answers otherwise than Python does."""
        (ours,) = self.natively([body])
        if ours is None:
            return False
        theirs = self.in_python(body)
        assert isinstance(theirs, Answer), f"Python refuses {body!r}: {theirs}"
        assert ours.body == theirs.body, body
        np.testing.assert_array_equal(ours.observed, theirs.observed)
        # -0.0 is equal to 0.0, and yet another number
        np.testing.assert_array_equal(np.signbit(ours.observed), np.signbit(theirs.observed))
        return True


@functools.cache
def ways(kind: str) -> Ways:
    """The model of a kind, packed and opened once."""
    if kind in CALLED:
        return _called(kind)
    found = opened(MODELS[kind])
    if not kind.startswith("bounded"):
        return found
    return _opened(replace(found.model, signature=_bounded(found.signature, found.rows)), found.rows)


def opened(made: Made) -> Ways:
    """A model, packed and opened."""
    make, frame, target = made
    columns = frame()
    rows = matrix(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = make().fit(rows, target)
    signature, reference = read_signature(estimator, columns)
    result = compile_and_prove(estimator, signature, reference)
    assert isinstance(result, Proven), result.reason
    model = Model(
        open_bytes(result.model, signature),
        signature,
        Golden(b"", ()),
        IDENTITY.digest,
        "onnx",
        rows_independent=True,
        compiled=result.model,
    )
    return _opened(model, rows)


def _opened(model: Model, rows: Matrix) -> Ways:
    signature = model.signature
    golden = Golden(orjson.dumps(v2.encode_request(_taken(rows, signature)[:16], signature, [])), ())
    model = replace(model, golden=golden)
    return Ways(model, open_front(model, IDENTITY, 1), rows)


def _called(kind: str) -> Ways:
    estimator, signature, rows = estimator_of(kind)
    methods = methods_of(estimator, signature)
    model = Model(methods, signature, Golden(b"", ()), IDENTITY.digest, "scikit-learn", rows_independent=True)
    if not kind.startswith("voting"):
        return _opened(model, rows)
    found = _opened(replace(model, neighbours=neighbours_of(estimator)), rows)
    assert found.front.computed_by == "instructions and python"
    return found


def _taken(rows: Matrix, signature: Signature) -> Matrix:
    """The rows within the signature's bounds."""
    keep = np.ones(len(rows), dtype=bool)
    for at, column in enumerate(signature.columns):
        if column.bounds is not None:
            values = rows[:, at].astype(np.float64)
            keep &= ~((values < column.bounds[0]) | (values > column.bounds[1]))
    return rows[keep]
