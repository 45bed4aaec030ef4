"""Over generated pipelines: what is compiled answers generated rows as scikit-learn does, alone and together."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from penstock_serving.compile.compare import labels, margins, scores
from penstock_serving.compile.opening import open_bytes
from penstock_serving.compile.proof import compile_and_prove
from penstock_serving.compile.result import Proven
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model.frame import matrix
from sklearn import compose, ensemble, impute, linear_model, naive_bayes, neural_network, preprocessing, svm, tree
from sklearn.pipeline import make_pipeline

CLASSIFIERS = {
    "logistic": lambda seed: linear_model.LogisticRegression(max_iter=20, tol=1),
    "SGD": lambda seed: linear_model.SGDClassifier(max_iter=5, tol=None, random_state=seed),
    "ridge": lambda seed: linear_model.RidgeClassifier(),
    "tree": lambda seed: tree.DecisionTreeClassifier(max_depth=6, random_state=seed),
    "forest": lambda seed: ensemble.RandomForestClassifier(5, random_state=seed),
    "extra trees": lambda seed: ensemble.ExtraTreesClassifier(5, random_state=seed),
    "boosting": lambda seed: ensemble.GradientBoostingClassifier(n_estimators=4, random_state=seed),
    "histogram boosting": lambda seed: ensemble.HistGradientBoostingClassifier(max_iter=4, random_state=seed),
    "AdaBoost": lambda seed: ensemble.AdaBoostClassifier(n_estimators=4, random_state=seed),
    "Bayes": lambda seed: naive_bayes.GaussianNB(),
    "perceptron": lambda seed: neural_network.MLPClassifier((5,), max_iter=5, tol=1e9, random_state=seed),
    "SVC": lambda seed: svm.SVC(),
}
REGRESSORS = {
    "linear": lambda seed: linear_model.LinearRegression(),
    "ridge": lambda seed: linear_model.Ridge(),
    "lasso": lambda seed: linear_model.Lasso(0.1),
    "tree": lambda seed: tree.DecisionTreeRegressor(max_depth=6, random_state=seed),
    "forest": lambda seed: ensemble.RandomForestRegressor(5, random_state=seed),
    "extra trees": lambda seed: ensemble.ExtraTreesRegressor(5, random_state=seed),
    "boosting": lambda seed: ensemble.GradientBoostingRegressor(n_estimators=4, random_state=seed),
    "histogram boosting": lambda seed: ensemble.HistGradientBoostingRegressor(max_iter=4, random_state=seed),
    "perceptron": lambda seed: neural_network.MLPRegressor(
        hidden_layer_sizes=(5,), max_iter=5, tol=1e9, random_state=seed
    ),
    "SVR": lambda seed: svm.SVR(),
}
ROWS = 80
WORDS = ("", "a", "b", "Ä", "long word", "0")
TAKE_MISSING = frozenset({"tree", "forest", "extra trees", "histogram boosting"})


@st.composite
def pipelines(draw):
    """(name, estimator, frame, target, generator): columns of several kinds, their preparation, a last step."""
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    frame, numbers, text = {}, [], []
    holes = draw(st.booleans())
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["plain", "money", "epoch", "whole", "truth", "single"]))
        values = rng.normal(size=ROWS)
        match kind:
            case "money":
                values = np.round(np.exp(values + 5), 2)
            case "epoch":
                values = np.round(1.7e9 + values * 1e6, 3)
            case "whole":
                values = np.round(values * 5).astype(np.int64)
            case "truth":
                values = values > 0
            case "single":
                values = values.astype(np.float32)
        if holes and values.dtype.kind == "f":
            values[rng.random(ROWS) < 0.2] = np.nan
            values[0] = 1
        numbers.append(len(frame))
        frame[f"n{index}"] = values
    for index in range(draw(st.integers(0, 2))):
        words = np.array([*WORDS, *([None] if draw(st.booleans()) else [])], dtype=object)
        text.append(len(frame))
        frame[f"t{index}"] = rng.choice(words, ROWS)
    classify = draw(st.booleans())
    family = CLASSIFIERS if classify else REGRESSORS
    name = draw(st.sampled_from(sorted(family)))
    steps = [("numbers", _of_numbers(draw, name, holes), numbers)]
    if text:
        # machines fitted on sparse rows are not compiled, and trees take no missing values there
        one_hot = _dense_one_hot if holes or name in {"SVC", "SVR"} else _one_hot
        steps.append(("text", draw(st.sampled_from([one_hot, _ordinal]))(), text))
    first = np.nan_to_num(np.asarray(frame["n0"], dtype=np.float64))
    signal = (first - first.mean()) / (first.std() + 1) + rng.normal(size=ROWS)
    target = np.array(["no", "yes", "maybe"])[np.digitize(signal, [-0.5, 0.7])] if classify else signal
    estimator = make_pipeline(compose.ColumnTransformer(steps), family[name](seed))
    return name, estimator, frame, target, rng


def _of_numbers(draw, name, holes):
    scaler = draw(
        st.sampled_from(
            [preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.RobustScaler, _unchanged]
        )
    )
    if holes and not (name in TAKE_MISSING and draw(st.booleans())):
        strategy = draw(st.sampled_from(["mean", "median", "most_frequent"]))
        return make_pipeline(impute.SimpleImputer(strategy=strategy, add_indicator=draw(st.booleans())), scaler())
    return scaler()


def _unchanged():
    return preprocessing.FunctionTransformer()


def _one_hot():
    return preprocessing.OneHotEncoder(handle_unknown="ignore")


def _dense_one_hot():
    return preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def _ordinal():
    return preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)


def generated_rows(reference, signature, rng):
    """Rows made by mixing the reference's own cells, and new words and numbers."""
    rows = np.stack([rng.permutation(reference[:, index]) for index in range(reference.shape[1])], axis=1)
    for index, column in enumerate(signature.columns):
        at = rng.integers(0, len(rows), 8)
        if column.is_text:
            rows[at, index] = [*WORDS, "new", "ne\u0308w"]
        elif column.datatype.value == "FP64":
            rows[at, index] = rng.normal(size=8) * 10.0 ** rng.integers(-3, 12, 8)
    return rows


def check(made):
    name, estimator, frame, target, rng = made
    estimator.fit(matrix(frame), target)
    signature, reference = read_signature(estimator, frame)
    result = compile_and_prove(estimator, signature, reference)
    assert isinstance(result, Proven), f"{name}: {result.reason}"
    methods, rows = open_bytes(result.model, signature), generated_rows(reference, signature, rng)
    scored = next(
        (getattr(estimator, other)(rows) for other in ("decision_function", "predict_proba") if other in methods), None
    )
    for method, ours in methods.items():
        theirs = getattr(estimator, method)(rows)
        together = ours(rows)
        alone = np.concatenate([ours(rows[at : at + 1]) for at in range(12)])
        if theirs.dtype.kind == "f":
            scores(together, theirs)
            scores(alone, theirs[:12])
        else:
            labels(together, theirs, None if scored is None else margins(scored))
            assert np.array_equal(alone, together[:12])


SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])


@settings(SLOW, max_examples=25, derandomize=True)
@given(pipelines())
@pytest.mark.filterwarnings("ignore")
def test_generated_pipelines_answer_as_scikit_learn(made):
    check(made)


@pytest.mark.campaign
@settings(SLOW, max_examples=int(os.environ.get("PENSTOCK_COMPILE_EXAMPLES", "400")))
@given(pipelines())
@pytest.mark.filterwarnings("ignore")
def test_many_generated_pipelines_answer_as_scikit_learn(made):
    check(made)
