"""The allow-list, and compiling one fitted estimator by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto
from sklearn.pipeline import Pipeline

from penstock_serving.compile.emit import (
    adaboost,
    bayes,
    boosting,
    cluster,
    compose,
    encode,
    forest,
    hist_boosting,
    impute,
    isolation,
    kernel,
    linear,
    neural,
    project,
    scale,
    select,
)
from penstock_serving.compile.emit.answers import Answer, Answers
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor, Splits, Transformer
from penstock_serving.compile.emit.exact import name_of, require_plain
from penstock_serving.compile.emit.graph import Graph
from penstock_serving.compile.errors import NotCompiledError
from penstock_serving.compile.plan import Method, Plan
from penstock_serving.compile.plan_json import dump
from penstock_serving.model.search import found
from penstock_serving.model.signature import Label, Signature

TRANSFORMERS: Mapping[type, Transformer] = {
    **scale.TRANSFORMERS,
    **impute.TRANSFORMERS,
    **encode.TRANSFORMERS,
    **compose.TRANSFORMERS,
    **project.TRANSFORMERS,
    **select.TRANSFORMERS,
}
PREDICTORS: Mapping[type, Predictor] = {
    **linear.PREDICTORS,
    **forest.PREDICTORS,
    **boosting.PREDICTORS,
    **hist_boosting.PREDICTORS,
    **adaboost.PREDICTORS,
    **isolation.PREDICTORS,
    **neural.PREDICTORS,
    **bayes.PREDICTORS,
    **kernel.PREDICTORS,
    **cluster.PREDICTORS,
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled estimator: the model as served, and what its proof needs to know.

    `values` are, by input column, the values at which something is decided by equality; `splits` the trees. `probed`
    is the same model that also gives the tensors that the trees read.
    """

    model: bytes
    plan: Plan
    values: Mapping[int, frozenset[Label | None]]
    splits: tuple[Splits, ...]
    probed: Callable[[], bytes]


def compile_estimator(estimator: Any, signature: Signature, dtypes: Mapping[str, str]) -> Compiled:
    """Compile a fitted estimator; `dtypes` are those of its answers by method (`dtype.str`).

    Raises `NotCompiledError` for what is not on the allow-list. Nothing is proven yet.
    """
    graph = Graph(len(signature.columns))
    emission = Emission(graph, signature, TRANSFORMERS, compose.COMPOSED)
    answers = _answers(emission, estimator, emission.input())
    methods = []
    for name, answer in answers.items():
        if name not in dtypes:
            continue
        graph.output(name, answer.tensor, TensorProto.INT64 if answer.labels else TensorProto.DOUBLE)
        methods.append(Method(name, answer.label_dtype if answer.labels else dtypes[name], answer.labels))
    plan = Plan(len(signature.columns), emission.text_columns(), graph.safe, tuple(methods))
    document = dump(plan)
    probes = sorted({splits.block.tensor for splits in emission.splits})
    return Compiled(
        model=graph.finish(document),
        plan=plan,
        values={column: frozenset(values) for column, values in emission.values.items()},
        splits=tuple(emission.splits),
        probed=lambda: graph.finish(document, probes),
    )


def _answers(emission: Emission, estimator: Any, block: Block) -> Answers:
    require_plain(estimator)
    estimator = found(estimator)
    require_plain(estimator)
    if type(estimator) is Pipeline:
        steps = compose.steps_of(estimator)
        return _last(emission, steps, block)
    return _last(emission, [estimator], block)


def _last(emission: Emission, steps: Sequence[Any], block: Block) -> Answers:
    if not steps:
        raise NotCompiledError("a pipeline without steps is not compiled")
    for step in steps[:-1]:
        block = emission.transform(step, block)
    last = steps[-1]
    require_plain(last)
    predict = PREDICTORS.get(type(last))
    if predict is not None:
        fitted = getattr(last, "n_features_in_", block.width)
        if fitted != block.width:
            raise NotCompiledError(f"the {name_of(last)} was fitted on another number of columns than it is given")
        return predict(emission, last, block if type(last) in hist_boosting.PREDICTORS else emission.as_array(block))
    if type(last) is Pipeline or found(last) is not last:
        return _answers(emission, last, block)
    if type(last) not in TRANSFORMERS:
        raise NotCompiledError(f"a {name_of(last)} is not compiled")
    return {"transform": Answer(emission.transform(last, block).tensor)}
