"""Exporting what explanations need, at packaging: a fitted pipeline in, one file of plain arrays out.

This needs scikit-learn; what is written does not.
"""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.npz import MalformedError
from penstock_serving.explain.plan import Forest, Linear, Plan, Sampled, Unit
from penstock_serving.explain.plan_npz import dump
from penstock_serving.explain.read_models import Read, read_model
from penstock_serving.explain.read_stages import Stages, read_steps
from penstock_serving.explain.stages import UnseenValueError, apply, floats
from penstock_serving.explain.unexplained import NotExplained, UnsupportedError
from penstock_serving.model.asked import bare
from penstock_serving.model.datatype import FLOATS
from penstock_serving.model.frame import Matrix
from penstock_serving.model.search import found
from penstock_serving.model.signature import Output, Signature

_COMPARED_ROWS = 1000
_TOLERANCE = 1e-5
_UNITS = {"predict_proba": Unit.PROBABILITY, "decision_function": Unit.SCORE, "predict": Unit.PREDICTION}


def export(estimator: Any, signature: Signature, background: Matrix) -> bytes | NotExplained:
    """The content of `explain.npz` for a fitted model, or why there is none.

    `background` [rows, columns] is what the model was made with, or a part of it: a linear model's contributions are
    differences from its mean, and on up to 1,000 of its rows the exported arrays must give scikit-learn's margins. No
    row of it is exported.
    """
    try:
        steps, predictor = _unpacked(bare(estimator))
        read = read_model(predictor)
        stages = read_steps(steps, len(signature.columns)) + read.stages
        data = dump(_plan(read, stages, signature, background))
        _require_same(Explainer(data), read, estimator, background)
    except (UnsupportedError, MalformedError) as error:
        return NotExplained(str(error))
    except UnseenValueError as unseen:
        return NotExplained(f"column {signature.names[unseen.position]!r} holds values that its encoder refuses")
    return data


def export_sampled(signature: Signature, background: Matrix) -> bytes | NotExplained:
    """The content of `explain.npz` by which a model is explained by asking it, for one that `export` cannot read.

    The rows of `background` [rows, columns] are exported as they are, at most 100: they may have to be synthetic.
    """
    if not 0 < len(background) <= 100:
        return NotExplained("a background of 1 to 100 rows is needed")
    output = _additive(signature)
    if output is None:
        return NotExplained("the model gives labels only, which do not add up")
    width = max(output.width, 1)
    names = tuple(str(label) for label in signature.classes)
    if names:
        names = names if len(names) == width else names[-1:] if width == 1 and len(names) == 2 else _numbered(width)
    plan = Plan(
        columns=signature.names,
        text=tuple(column.is_text for column in signature.columns),
        outputs=names or _numbered(width),
        unit=_UNITS[output.name],
        stages=(),
        model=Sampled(background.astype(object), output.name),
    )
    return dump(plan)


def _additive(signature: Signature) -> Output | None:
    """The output of numbers that an explanation is to add up to."""
    for name in _UNITS:
        output = signature.output.get(name)
        if output is not None and output.datatype in FLOATS:
            return output
    return None


def _numbered(width: int) -> tuple[str, ...]:
    return ("predict",) if width == 1 else tuple(f"predict[{number}]" for number in range(width))


def _unpacked(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers of nested pipelines, in order, and the predictor at the end."""
    steps: list[Any] = []
    estimator = found(estimator)
    while type(estimator) is Pipeline:
        steps += [step for _, step in estimator.steps[:-1]]
        estimator = found(estimator.steps[-1][1])
    return steps, estimator


def _plan(read: Read, stages: Stages, signature: Signature, background: Matrix) -> Plan:
    model: Linear | Forest = read.model
    if isinstance(model, Linear):
        made = floats(apply(stages, background)).astype(np.float64)
        if not np.isfinite(made).all():
            raise UnsupportedError("missing values reach the linear model")
        model = Linear(model.weights, model.intercepts, made.mean(axis=0))
    return Plan(
        columns=signature.names,
        text=tuple(column.is_text for column in signature.columns),
        outputs=read.outputs,
        unit=read.unit,
        stages=stages,
        model=model,
    )


def _require_same(explainer: Explainer, read: Read, estimator: Any, background: Matrix) -> None:
    rows = background[np.linspace(0, len(background) - 1, min(len(background), _COMPARED_ROWS)).astype(int)]
    expected = read.margin(estimator, rows)
    found = explainer.margins(rows)
    if found.shape != expected.shape:
        raise UnsupportedError("the exported arrays give another number of outputs than scikit-learn")
    if not (np.abs(found - expected) <= _TOLERANCE * np.maximum(1.0, np.abs(expected))).all():
        raise UnsupportedError("the exported arrays do not give scikit-learn's margins")
