"""Multi-layer perceptrons."""

from collections.abc import Mapping
from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

from penstock_serving.compile.emit.answers import Answer, Answers, above, affine, both, classified, largest, softmax
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor
from penstock_serving.compile.emit.exact import require, require_parameters

_FITTING = (
    "activation alpha batch_size beta_1 beta_2 early_stopping epsilon hidden_layer_sizes learning_rate "
    "learning_rate_init loss max_fun max_iter momentum n_iter_no_change nesterovs_momentum power_t random_state shuffle "
    "solver tol validation_fraction verbose warm_start"
)
_OPERATORS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "exp": "Exp"}


def _activated(emission: Emission, estimator: Any, tensor: str, activation: str) -> str:
    if activation == "identity":
        return tensor
    if activation == "softmax":
        return softmax(emission.graph, tensor)
    require(activation in _OPERATORS, estimator, f"the activation {activation!r}")
    return emission.graph.add(_OPERATORS[activation], [tensor])


def _forward(emission: Emission, estimator: Any, block: Block) -> str:
    """The output layer [rows, outputs]."""
    require_parameters(estimator, _FITTING)
    emission.require_numbers(estimator, block)
    emission.graph.refuse_not_finite(block)
    tensor, last = block.tensor, len(estimator.coefs_) - 1
    for layer, (coefficients, intercept) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        tensor = affine(emission.graph, tensor, coefficients, intercept)
        activation = estimator.out_activation_ if layer == last else estimator.activation
        tensor = _activated(emission, estimator, tensor, activation)
    return tensor


def _classifier(emission: Emission, estimator: Any, block: Block) -> Answers:
    graph = emission.graph
    output = _forward(emission, estimator, block)
    if estimator.n_outputs_ > 1:
        require(estimator.out_activation_ == "softmax", estimator, "several targets")
        return {"predict": classified(estimator, largest(graph, output)), "predict_proba": Answer(output)}
    require(estimator.out_activation_ == "logistic", estimator, f"the output activation {estimator.out_activation_!r}")
    return {
        "predict": classified(estimator, above(graph, graph.flat(output), 0.5)),
        "predict_proba": Answer(both(graph, output)),
    }


def _regressor(emission: Emission, estimator: Any, block: Block) -> Answers:
    output = _forward(emission, estimator, block)
    return {"predict": Answer(emission.graph.flat(output) if estimator.n_outputs_ == 1 else output)}


PREDICTORS: Mapping[type, Predictor] = {MLPClassifier: _classifier, MLPRegressor: _regressor}
