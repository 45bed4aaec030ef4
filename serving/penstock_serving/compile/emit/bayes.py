"""Naive Bayes: joint log-likelihoods, their largest, their softmax."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB

from penstock_serving.compile.emit.answers import Answer, Answers, affine, classified, largest, softmax
from penstock_serving.compile.emit.block import Affine, Block
from penstock_serving.compile.emit.emission import Emission, Predictor
from penstock_serving.compile.emit.exact import require_parameters

_FITTING = "alpha binarize class_prior fit_prior force_alpha norm priors var_smoothing"


def _answers(emission: Emission, estimator: Any, likelihoods: str) -> Answers:
    graph = emission.graph
    return {
        "predict": classified(estimator, largest(graph, likelihoods)),
        "predict_proba": Answer(softmax(graph, likelihoods)),
    }


def _checked(emission: Emission, estimator: Any, block: Block) -> None:
    require_parameters(estimator, _FITTING)
    emission.require_numbers(estimator, block)
    emission.graph.refuse_not_finite(block)


def _gaussian(emission: Emission, estimator: Any, block: Block) -> Answers:
    _checked(emission, estimator, block)
    graph = emission.graph
    rows = graph.add("Unsqueeze", [block.tensor, graph.integers([1])])
    apart = graph.add("Sub", [rows, graph.doubles(estimator.theta_)])
    squares = graph.add("Div", [graph.add("Mul", [apart, apart]), graph.doubles(estimator.var_)])
    total = graph.add("ReduceSum", [squares, graph.integers([2])], keepdims=0)
    constant = np.log(estimator.class_prior_) - 0.5 * np.log(2.0 * np.pi * estimator.var_).sum(axis=1)
    half = graph.add("Mul", [total, graph.doubles(0.5)])
    return _answers(emission, estimator, graph.add("Sub", [graph.doubles(constant), half]))


def _multinomial(emission: Emission, estimator: Any, block: Block) -> Answers:
    _checked(emission, estimator, block)
    prior = estimator.class_log_prior_
    return _answers(emission, estimator, affine(emission.graph, block.tensor, estimator.feature_log_prob_.T, prior))


def _complement(emission: Emission, estimator: Any, block: Block) -> Answers:
    _checked(emission, estimator, block)
    prior = estimator.class_log_prior_ if len(estimator.classes_) == 1 else np.zeros(len(estimator.classes_))
    return _answers(emission, estimator, affine(emission.graph, block.tensor, estimator.feature_log_prob_.T, prior))


def _bernoulli(emission: Emission, estimator: Any, block: Block) -> Answers:
    _checked(emission, estimator, block)
    graph, tensor = emission.graph, block.tensor
    if estimator.binarize is not None:
        for feature in block.features:
            if isinstance(feature.origin, Affine):
                emission.notice(feature.origin.column, feature.origin.inverse(float(estimator.binarize)))
        tensor = graph.double(graph.add("Greater", [tensor, graph.doubles(float(estimator.binarize))]))
    absent = np.log(1 - np.exp(estimator.feature_log_prob_))
    constant = estimator.class_log_prior_ + absent.sum(axis=1)
    return _answers(emission, estimator, affine(graph, tensor, (estimator.feature_log_prob_ - absent).T, constant))


PREDICTORS: Mapping[type, Predictor] = {
    GaussianNB: _gaussian,
    MultinomialNB: _multinomial,
    ComplementNB: _complement,
    BernoulliNB: _bernoulli,
}
