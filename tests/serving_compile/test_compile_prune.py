"""A compiled model cut down to one output computes that one as the whole does; damaged bytes are malformed."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.compile.opening import session_of
from penstock_serving.compile.plan import INPUT
from penstock_serving.compile.prune import pruned
from penstock_serving.compile.wire import MalformedError, contents, metadata
from sklearn import ensemble, linear_model, naive_bayes, neural_network, preprocessing, svm
from sklearn.pipeline import make_pipeline

from tests.serving_compile import compile_samples as data

ESTIMATORS = {
    "logistic": (lambda: make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()), data.THREE),
    "forest": (lambda: ensemble.RandomForestClassifier(5, random_state=0), data.THREE),
    "boosting": (lambda: ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0), data.TWO),
    "Bayes": (naive_bayes.GaussianNB, data.NUMBERED),
    "machine": (svm.SVC, data.TWO),
    "perceptron": (
        lambda: neural_network.MLPClassifier((20, 5), max_iter=5, solver="lbfgs", tol=1e9, random_state=0),
        data.THREE,
    ),
    "ridge": (lambda: make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()), data.TARGET),
}
_made = {}


def model(name):
    """A compiled model and rows for it."""
    if name not in _made:
        make, target = ESTIMATORS[name]
        _made[name] = data.proven(make(), data.numeric(), target).model
    return _made[name]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_output_alone_is_to_the_bit_what_the_whole_graph_gives(name):
    whole = model(name)
    session = session_of(whole)
    rng = np.random.default_rng(1)
    rows = np.concatenate([data.NUMBERS, rng.normal(size=(200, 6)) * 10.0 ** rng.integers(-6, 9, (200, 1))])
    for output in [node.name for node in session.get_outputs()]:
        cut = pruned(whole, output)
        alone = session_of(cut)
        assert [node.name for node in alone.get_outputs()] == [output]
        for count in (1, 2, 3, 64, len(rows)):
            asked = {INPUT: rows[:count]}
            np.testing.assert_array_equal(alone.run(None, asked)[0], session.run([output], asked)[0])
        assert metadata(cut) == metadata(whole)
        assert contents(cut) == contents(whole)
        wanted = onnx.load_model_from_string(whole)
        del wanted.graph.output[:]
        wanted.graph.output.extend(
            node for node in onnx.load_model_from_string(whole).graph.output if node.name == output
        )
        assert onnx.load_model_from_string(cut) == wanted


def test_an_output_that_is_not_there_is_malformed():
    for name in ("", "Predict", "no such"):
        with pytest.raises(MalformedError, match="no output"):
            pruned(model("ridge"), name)


def test_an_output_that_is_there_twice_is_malformed():
    parsed = onnx.load_model_from_string(model("ridge"))
    parsed.graph.output.append(parsed.graph.output[0])
    with pytest.raises(MalformedError, match="no output"):
        pruned(parsed.SerializeToString(), parsed.graph.output[0].name)


def only_malformed(content):
    try:
        return pruned(content, "predict")
    except MalformedError:
        return None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\x3a",
        b"\x3a\xff\xff\xff\xff\x0f",
        b"\x38\x01",
        b"\x3d0123",
        b"\x39",
        b"\xff" * 40,
        b"\x3a\x02\x62",
    ],
)
def test_bytes_that_are_no_model_are_malformed(content):
    with pytest.raises(MalformedError):
        pruned(content, "predict")


def test_every_cut_of_a_model_is_malformed_or_a_model():
    whole = model("ridge")
    for size in range(len(whole)):
        only_malformed(whole[:size])


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_models_are_malformed_or_models(found):
    content = bytearray(model("ridge"))
    for _ in range(found.draw(st.integers(1, 4))):
        at = found.draw(st.integers(0, max(0, len(content) - 1)))
        match found.draw(st.sampled_from(["flip", "cut", "insert", "end"])):
            case "flip" if content:
                content[at] ^= 1 << found.draw(st.integers(0, 7))
            case "cut":
                del content[at : at + found.draw(st.integers(1, 20))]
            case "insert":
                content[at:at] = found.draw(st.binary(min_size=1, max_size=4))
            case _:
                del content[at + 1 :]
    only_malformed(bytes(content))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_malformed_or_a_model(content):
    only_malformed(content)
    only_malformed(b"\x3a" + bytes([len(content)]) + content)
