"""Support vector machines with a kernel: weighted kernels of the support vectors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from penstock_serving.compile.emit.answers import Answer, Answers, above_zero, affine, classified, largest
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor
from penstock_serving.compile.emit.exact import require, require_parameters
from penstock_serving.model.frame import Matrix

_FITTING = (
    "C break_ties cache_size class_weight coef0 decision_function_shape degree epsilon gamma kernel max_iter nu "
    "probability random_state shrinking tol verbose"
)


def _kernel(emission: Emission, machine: Any, block: Block) -> str:
    """The kernel of rows and support vectors, [rows, vectors]."""
    require_parameters(machine, _FITTING)
    emission.require_numbers(machine, block)
    require(isinstance(machine.support_vectors_, np.ndarray) and not machine._sparse, machine, "sparse vectors")
    graph, vectors = emission.graph, np.asarray(machine.support_vectors_, dtype=np.float64)
    graph.refuse_not_finite(block)
    gamma, start = float(machine._gamma), graph.doubles(float(machine.coef0))
    if machine.kernel == "rbf":
        square = graph.add(
            "ReduceSum", [graph.add("Mul", [block.tensor, block.tensor]), graph.integers([1])], keepdims=1
        )
        nearness = affine(graph, block.tensor, 2 * vectors.T, -(vectors**2).sum(axis=1))
        finite = graph.add("Max", [graph.add("Sub", [square, nearness]), graph.doubles(0.0)])
        apart = graph.add("Where", [graph.add("IsInf", [square]), square, finite])
        return graph.add("Exp", [graph.add("Mul", [apart, graph.doubles(-gamma)])])
    product = graph.add("MatMul", [block.tensor, graph.doubles(vectors.T)])
    if machine.kernel == "linear":
        return product
    shifted = graph.add("Add", [graph.add("Mul", [product, graph.doubles(gamma)]), start])
    if machine.kernel == "sigmoid":
        return graph.add("Tanh", [shifted])
    require(machine.kernel == "poly", machine, "a kernel of its own")
    power = shifted
    for _ in range(int(machine.degree) - 1):
        power = graph.add("Mul", [power, shifted])
    return power


def _pairs(machine: Any) -> Matrix:
    """The weights [vectors, pairs] of one class against another (libsvm, svm_predict_values)."""
    ends = np.cumsum([0, *machine.n_support_])
    count = len(machine.classes_)
    weights = []
    for one in range(count):
        for other in range(one + 1, count):
            column = np.zeros(len(machine.support_vectors_))
            column[ends[one] : ends[one + 1]] = machine.dual_coef_[other - 1, ends[one] : ends[one + 1]]
            column[ends[other] : ends[other + 1]] = machine.dual_coef_[one, ends[other] : ends[other + 1]]
            weights.append(column)
    return np.stack(weights, axis=1)


def _classifier(emission: Emission, machine: Any, block: Block) -> Answers:
    graph, count = emission.graph, len(machine.classes_)
    require(int(machine.degree) >= 1 or machine.kernel != "poly", machine, "degree 0")
    kernel = _kernel(emission, machine, block)
    if count == 2:
        decision = graph.flat(affine(graph, kernel, machine.dual_coef_.T, machine.intercept_))
        return {"predict": classified(machine, above_zero(graph, decision)), "decision_function": Answer(decision)}
    decisions = affine(graph, kernel, _pairs(machine), machine.intercept_)
    order = [(one, other) for one in range(count) for other in range(one + 1, count)]
    first, second = np.zeros((len(order), count)), np.zeros((len(order), count))
    for pair, (one, other) in enumerate(order):
        first[pair, one] = second[pair, other] = 1.0
    for_first = graph.double(graph.add("Greater", [decisions, graph.doubles(0.0)]))
    votes = affine(graph, for_first, first - second, second.sum(axis=0))
    by_votes = largest(graph, votes)
    if machine.decision_function_shape == "ovo":
        return {"predict": classified(machine, by_votes), "decision_function": Answer(decisions)}
    for_second = graph.double(graph.add("Less", [decisions, graph.doubles(0.0)]))
    counted = affine(graph, for_second, second - first, first.sum(axis=0))
    confidence = graph.add("MatMul", [decisions, graph.doubles(first - second)])
    beyond = graph.add("Add", [graph.add("Abs", [confidence]), graph.doubles(1.0)])
    bounded = graph.add("Div", [confidence, graph.add("Mul", [beyond, graph.doubles(3.0)])])
    decision = graph.add("Add", [counted, bounded])
    predicted = largest(graph, decision) if machine.break_ties else by_votes
    return {"predict": classified(machine, predicted), "decision_function": Answer(decision)}


def _regressor(emission: Emission, machine: Any, block: Block) -> Answers:
    kernel = _kernel(emission, machine, block)
    score = affine(emission.graph, kernel, machine.dual_coef_.T, machine.intercept_)
    return {"predict": Answer(emission.graph.flat(score))}


def _one_class(emission: Emission, machine: Any, block: Block) -> Answers:
    graph = emission.graph
    kernel = _kernel(emission, machine, block)
    score = graph.flat(affine(graph, kernel, machine.dual_coef_.T, machine.intercept_))
    return {
        "predict": Answer(above_zero(graph, score), (-1, 1), np.dtype(np.int64).str),
        "decision_function": Answer(score),
    }


PREDICTORS: Mapping[type, Predictor] = {
    SVC: _classifier,
    NuSVC: _classifier,
    SVR: _regressor,
    NuSVR: _regressor,
    OneClassSVM: _one_class,
}
