"""A conversion that is wrong is refused by the proof: one mistake at a time in a right one."""

import dataclasses
import functools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from penstock_serving.compile.emit.registry import compile_estimator
from penstock_serving.compile.proof import prove
from penstock_serving.compile.result import Proven, Unproven
from sklearn import ensemble, impute, linear_model, preprocessing
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data


@functools.cache
def compiled(kind):
    """A fitted estimator of the kind, its signature, reference rows and what it compiles to."""
    cases = {
        "forest": (ensemble.RandomForestClassifier(5, random_state=0), data.with_missing(), data.TWO),
        "boosting": (ensemble.HistGradientBoostingClassifier(max_iter=4), data.with_missing(), data.TWO),
        "categories": (
            ensemble.HistGradientBoostingRegressor(max_iter=4, categorical_features=[0]),
            data.coded(),
            data.TARGET + data.EFFECT,
        ),
        "scaled": (
            make_pipeline(preprocessing.StandardScaler(), ensemble.ExtraTreesRegressor(4, random_state=0)),
            data.money(),
            data.TARGET,
        ),
        "linear": (
            make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler(), linear_model.LogisticRegression()),
            data.with_missing(),
            data.THREE,
        ),
    }
    estimator, signature, reference = data.fitted(*cases[kind])
    methods = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(estimator, name)]
    dtypes = {name: getattr(estimator, name)(reference[:1]).dtype.str for name in methods}
    return estimator, signature, reference, compile_estimator(estimator, signature, dtypes)


def judged(kind, change):
    """What the proof says of a compiled model after `change` was made to its ONNX form."""
    estimator, signature, reference, right = compiled(kind)
    model = onnx.load_model_from_string(right.model)
    change(model)
    return prove(dataclasses.replace(right, model=model.SerializeToString()), estimator, signature, reference)


def attribute(model, name):
    """An attribute of the model's TreeEnsemble."""
    node = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    return next(found for found in node.attribute if found.name == name)


def rewrite(model, name, change):
    """Change the array of a tensor attribute of the TreeEnsemble in place."""
    found = attribute(model, name)
    values = numpy_helper.to_array(found.t).copy()
    change(values)
    found.t.CopyFrom(numpy_helper.from_array(values))


def constants(model, change):
    """Change every float64 constant row or matrix of the graph in place."""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if values.dtype == np.float64 and values.ndim:
            name = tensor.name
            change(values)
            tensor.CopyFrom(numpy_helper.from_array(values, name))


def splits_of(kind):
    """(tree, node) of every split, in the order of the TreeEnsemble's nodes."""
    trees = compiled(kind)[3].splits[0].trees
    return [(tree, node) for tree in trees for node in np.flatnonzero(~tree.is_leaf).tolist()]


def meets_missing(tree, node):
    """Whether a missing value's side matters at a split for certain.

    It does where both sides are leaves, and no split above it on the same column sends missing values elsewhere.
    """
    if not tree.is_leaf[[tree.left[node], tree.right[node]]].all():
        return False
    parents = {int(child): at for at in np.flatnonzero(~tree.is_leaf) for child in (tree.left[at], tree.right[at])}
    at = node
    while at in parents:
        above = int(parents[at])
        takes = tree.left[above] if tree.missing_left[above] else tree.right[above]
        if tree.feature[above] == tree.feature[node] and takes != at:
            return False
        at = above
    return True


@pytest.mark.parametrize("kind", ["forest", "boosting", "categories", "scaled", "linear"])
def test_an_unchanged_conversion_is_proven(kind):
    assert isinstance(judged(kind, lambda model: None), Proven)


@pytest.mark.parametrize("place", range(0, 40, 3))
@pytest.mark.parametrize("way", [-np.inf, np.inf])
def test_a_threshold_that_is_off_by_one_bit_is_found(place, way):
    finite = [at for at, (tree, node) in enumerate(splits_of("boosting")) if np.isfinite(tree.threshold[node])]

    def shift(values):
        at = finite[place % len(finite)]
        values[at] = np.nextafter(values[at], way)

    assert isinstance(judged("boosting", lambda model: rewrite(model, "nodes_splits", shift)), Unproven)


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_threshold_that_is_off_by_one_single_precision_step_is_found(place):
    finite = [at for at, (tree, node) in enumerate(splits_of("forest")) if np.isfinite(tree.threshold[node])]

    def shift(values):
        at = finite[place % len(finite)]
        values[at] = np.nextafter(np.float32(values[at]), np.float32(np.inf))

    assert isinstance(judged("forest", lambda model: rewrite(model, "nodes_splits", shift)), Unproven)


def test_thresholds_in_single_precision_are_found_on_money_behind_a_scaler():
    def coarse(values):
        values[:] = values.astype(np.float16)

    assert isinstance(judged("scaled", lambda model: rewrite(model, "nodes_splits", coarse)), Unproven)


@pytest.mark.parametrize("place", range(0, 30, 4))
@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_swapped_children_are_found(kind, place):
    def swap(model):
        for one, other in (("nodes_truenodeids", "nodes_falsenodeids"), ("nodes_trueleafs", "nodes_falseleafs")):
            left, right = attribute(model, one).ints, attribute(model, other).ints
            at = place % len(left)
            left[at], right[at] = right[at], left[at]

    assert isinstance(judged(kind, swap), Unproven)


@pytest.mark.parametrize("place", range(0, 30, 4))
@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_a_missing_value_that_goes_to_the_other_side_is_found(kind, place):
    open_to_missing = [at for at, (tree, node) in enumerate(splits_of(kind)) if meets_missing(tree, node)]

    def turn(model):
        flags = attribute(model, "nodes_missing_value_tracks_true").ints
        flags[open_to_missing[place % len(open_to_missing)]] ^= 1

    assert isinstance(judged(kind, turn), Unproven)


@pytest.mark.parametrize("place", range(0, 30, 5))
def test_another_leaf_value_is_found(place):
    def change(values):
        values[place % len(values)] += 1e-3

    assert isinstance(judged("categories", lambda model: rewrite(model, "leaf_weights", change)), Unproven)


@pytest.mark.parametrize("code", [0, 3, 7, 11, 12])
def test_a_category_or_a_missing_one_on_the_other_side_of_a_split_is_found(code):
    found = []

    def turn(values):
        if values.shape[0] == 13 and values.shape[1] > 1 and set(np.unique(values)) == {0.0, 1.0}:
            values[code, 0] = 1 - values[code, 0]
            found.append(code)

    assert isinstance(judged("categories", lambda model: constants(model, turn)), Unproven)
    assert found == [code]


@pytest.mark.parametrize("factor", [1 + 1e-4, -1.0])
def test_other_coefficients_are_found(factor):
    def change(values):
        if values.shape == (6, 3):
            values *= factor

    assert isinstance(judged("linear", lambda model: constants(model, change)), Unproven)


def test_a_model_that_takes_what_scikit_learn_refuses_is_found():
    def take_everything(model):
        node = next(node for node in model.graph.node if node.output[0] == "refused")
        node.op_type = "ReduceMin"

    reason = judged("forest", take_everything)
    assert isinstance(reason, Unproven)
    assert "scikit-learn refuses" in reason.reason


def test_a_model_that_refuses_what_scikit_learn_takes_is_found():
    def refuse_missing(model):
        node = next(node for node in model.graph.node if node.op_type == "IsInf")
        node.op_type = "IsNaN"

    reason = judged("forest", refuse_missing)
    assert isinstance(reason, Unproven)
    assert "refuses the row" in reason.reason


def test_labels_in_another_order_are_found():
    estimator, signature, reference, right = compiled("forest")
    model = onnx.load_model_from_string(right.model)
    plan = next(entry for entry in model.metadata_props if entry.key == "penstock.plan")
    plan.value = plan.value.replace('["no", "yes"]', '["yes", "no"]')
    changed = dataclasses.replace(right, model=model.SerializeToString())
    assert isinstance(prove(changed, estimator, signature, reference), Unproven)
