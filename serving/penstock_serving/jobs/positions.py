"""Whether a model that was fitted on a DataFrame may be asked by position: where it was shown to answer alike."""

import copy
import warnings
from collections.abc import Callable, Mapping

import numpy as np

from penstock_serving.compile.adversarial import changed, singly, spread
from penstock_serving.compile.candidates import special
from penstock_serving.model.dataframe import FramedModel
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.frame import Matrix
from penstock_serving.model.outputs import MODELS_OWN, methods
from penstock_serving.model.parts import parts
from penstock_serving.model.positions import PositionedModel, first_steps
from penstock_serving.model.signature import Signature

_REFERENCE_ROWS = 512
_SPECIAL_ROWS = 300
_Ask = Mapping[str, Callable[[Matrix], Matrix]]


def positioned(model: FramedModel, signature: Signature, reference: Matrix) -> PositionedModel | None:
    """The model as it is asked by position, or None where it is to be asked by a DataFrame.

    It must be of scikit-learn's own steps, the first of which choose columns, of none that keeps single precision, a time
    or a function; and give the same answers, to the last bit, to rows of the reference [rows, columns] and to rows with a
    special value in one column, each asked alone.
    """
    if not _is_known(model, signature):
        return None
    try:
        made = PositionedModel(copy.deepcopy(model.estimator), model.series)
    except MODELS_OWN:
        return None
    names = [output.name for output in signature.outputs]
    theirs, ours = methods(model, names), methods(made, names)
    rows = [reference[spread(len(reference), _REFERENCE_ROWS)], *_special(signature, reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made if all(_alike(ours, theirs, asked) for asked in rows) else None


def _is_known(model: FramedModel, signature: Signature) -> bool:
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer

    if any(column.is_time or column.datatype is Datatype.FP32 for column in signature.columns):
        return False
    if any(type(step) is not ColumnTransformer for step in first_steps(model.estimator)):
        return False
    for part in parts(model.estimator):
        output = vars(part).get("_sklearn_output_config", {}).get("transform", "default")
        own = isinstance(part, FunctionTransformer) and part.func is not None
        if own or output != "default" or not type(part).__module__.startswith("sklearn."):
            return False
    return True


def _special(signature: Signature, reference: Matrix) -> list[Matrix]:
    """Rows [1, columns] of the reference, each with a special value in one column."""
    values = [special(column, (), reference[:, index]) for index, column in enumerate(signature.columns)]
    each = max(_SPECIAL_ROWS // len(signature.columns), 8)
    rows = changed(reference, singly(values, len(reference), each), signature)
    return [rows[at : at + 1] for at in range(len(rows))]


def _alike(ours: _Ask, theirs: _Ask, rows: Matrix) -> bool:
    for name, ask in theirs.items():
        mine, wanted = _answer(ours[name], rows), _answer(ask, rows)
        if mine is None or wanted is None:
            if mine is not wanted:
                return False
        elif mine.dtype != wanted.dtype or not np.array_equal(mine, wanted, equal_nan=mine.dtype.kind == "f"):
            return False
    return True


def _answer(ask: Callable[[Matrix], Matrix], rows: Matrix) -> Matrix | None:
    """The answer; None for rows that the model refuses."""
    try:
        return ask(rows)
    except ValueError:
        return None
