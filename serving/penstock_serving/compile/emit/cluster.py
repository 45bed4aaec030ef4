"""k-means: the nearest centre."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans

from penstock_serving.compile.emit.answers import Answer, Answers, affine, largest
from penstock_serving.compile.emit.block import Block
from penstock_serving.compile.emit.emission import Emission, Predictor
from penstock_serving.compile.emit.exact import require_parameters

_FITTING = (
    "algorithm batch_size compute_labels copy_x init init_size max_iter max_no_improvement n_clusters n_init "
    "random_state reassignment_ratio tol verbose"
)


def _k_means(emission: Emission, estimator: Any, block: Block) -> Answers:
    require_parameters(estimator, _FITTING)
    emission.require_numbers(estimator, block)
    graph, centres = emission.graph, np.asarray(estimator.cluster_centers_, dtype=np.float64)
    graph.refuse_not_finite(block)
    nearness = affine(graph, block.tensor, 2 * centres.T, -(centres**2).sum(axis=1))
    square = graph.add("Mul", [block.tensor, block.tensor])
    norm = graph.add("ReduceSum", [square, graph.integers([1])], keepdims=1)
    apart = graph.add("Max", [graph.add("Sub", [norm, nearness]), graph.doubles(0.0)])
    return {
        "predict": Answer(largest(graph, nearness), tuple(range(len(centres))), np.dtype(np.int32).str),
        "transform": Answer(graph.add("Sqrt", [apart])),
    }


PREDICTORS: Mapping[type, Predictor] = {KMeans: _k_means, MiniBatchKMeans: _k_means}
