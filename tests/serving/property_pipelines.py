"""Generated pipelines of every common family, over numbers, categories, free text and missing values; and rows for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from penstock_serving.model.frame import matrix
from sklearn import (
    calibration,
    compose,
    discriminant_analysis,
    ensemble,
    impute,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    svm,
    tree,
)
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline

Frame = dict[str, np.ndarray]
Family = Callable[[int], BaseEstimator]

CLASSIFIERS: dict[str, Family] = {
    "logistic": lambda seed: linear_model.LogisticRegression(max_iter=20, tol=1),
    "SGD": lambda seed: linear_model.SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=seed),
    "ridge": lambda seed: linear_model.RidgeClassifier(),
    "linear SVC": lambda seed: svm.LinearSVC(max_iter=50, tol=10, random_state=seed),
    "SVC": lambda seed: svm.SVC(),
    "tree": lambda seed: tree.DecisionTreeClassifier(max_depth=6, random_state=seed),
    "forest": lambda seed: ensemble.RandomForestClassifier(8, random_state=seed),
    "extra trees": lambda seed: ensemble.ExtraTreesClassifier(8, random_state=seed),
    "boosting": lambda seed: ensemble.GradientBoostingClassifier(n_estimators=4, random_state=seed),
    "histogram boosting": lambda seed: ensemble.HistGradientBoostingClassifier(max_iter=4, random_state=seed),
    "AdaBoost": lambda seed: ensemble.AdaBoostClassifier(n_estimators=4, random_state=seed),
    "Gaussian Bayes": lambda seed: naive_bayes.GaussianNB(),
    "Bernoulli Bayes": lambda seed: naive_bayes.BernoulliNB(),
    "neighbours": lambda seed: neighbors.KNeighborsClassifier(3),
    "linear discriminant": lambda seed: discriminant_analysis.LinearDiscriminantAnalysis(),
    "perceptron": lambda seed: neural_network.MLPClassifier((5,), max_iter=5, tol=1e9, random_state=seed),
    "bagging": lambda seed: ensemble.BaggingClassifier(n_estimators=3, random_state=seed),
    "voting": lambda seed: ensemble.VotingClassifier(
        [("t", tree.DecisionTreeClassifier(max_depth=3)), ("b", naive_bayes.GaussianNB())], voting="soft"
    ),
    "calibrated": lambda seed: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2),
}
REGRESSORS: dict[str, Family] = {
    "linear": lambda seed: linear_model.LinearRegression(),
    "ridge": lambda seed: linear_model.Ridge(),
    "lasso": lambda seed: linear_model.Lasso(0.1),
    "elastic net": lambda seed: linear_model.ElasticNet(0.1),
    "SGD": lambda seed: linear_model.SGDRegressor(max_iter=5, tol=None, eta0=1e-6, random_state=seed),
    "Bayesian ridge": lambda seed: linear_model.BayesianRidge(),
    "tree": lambda seed: tree.DecisionTreeRegressor(max_depth=6, random_state=seed),
    "forest": lambda seed: ensemble.RandomForestRegressor(8, random_state=seed),
    "extra trees": lambda seed: ensemble.ExtraTreesRegressor(8, random_state=seed),
    "boosting": lambda seed: ensemble.GradientBoostingRegressor(n_estimators=4, random_state=seed),
    "histogram boosting": lambda seed: ensemble.HistGradientBoostingRegressor(max_iter=4, random_state=seed),
    "AdaBoost": lambda seed: ensemble.AdaBoostRegressor(n_estimators=4, random_state=seed),
    "neighbours": lambda seed: neighbors.KNeighborsRegressor(3),
    "SVR": lambda seed: svm.SVR(),
    "perceptron": lambda seed: neural_network.MLPRegressor(
        hidden_layer_sizes=(5,), max_iter=5, tol=1e9, random_state=seed
    ),
    "bagging": lambda seed: ensemble.BaggingRegressor(n_estimators=3, random_state=seed),
    "voting": lambda seed: ensemble.VotingRegressor(
        [("t", tree.DecisionTreeRegressor(max_depth=3)), ("l", linear_model.Ridge())]
    ),
}
FAMILIES: dict[str, tuple[Family, bool]] = {
    **{f"{name} classifier": (make, True) for name, make in CLASSIFIERS.items()},
    **{f"{name} regressor": (make, False) for name, make in REGRESSORS.items()},
}
"""Families by name, and whether they classify."""
TREES = frozenset({"tree", "forest", "extra trees", "boosting", "histogram boosting"})
"""Whose answers are sums over leaves: these are equal to the last bit when scikit-learn serves."""
TAKE_MISSING = frozenset({"tree", "forest", "extra trees", "histogram boosting"})
ROWS = 80
WORDS = ("", "a", "b", "Ä", "long word", "0")
NEW_WORDS = ("new", "ne\u0308w")
SENTENCES = ("cheap loan now", "loan offered", "Grüße from Île", "now or never", "cheap offer", "")
KINDS = ("plain", "money", "epoch", "whole", "truth", "single")
DTYPES = {
    "float64": ["float64", "float64", "Float64"],
    "float32": ["float32"],
    "int64": ["int64", "int8", "Int16"],
    "bool": ["bool", "bool", "boolean"],
}
"""In which dtypes the columns of a DataFrame hold numbers of each kind."""


@dataclass(frozen=True)
class Made:
    """A fitted pipeline, the frame that it was fitted on, and which of its columns take words it has not seen.

    `dtypes` are of the columns of the DataFrame that it was fitted on; None where that was a matrix.
    """

    name: str
    estimator: Any
    frame: Frame
    exact: bool
    open_columns: frozenset[str]
    seed: int
    dtypes: dict[str, str] | None

    def given(self, frame: Frame) -> Any:
        """Rows as the pipeline itself takes them."""
        if self.dtypes is None:
            return matrix(frame)
        # each by itself: pandas makes of a column of objects what its values are, and of one row they may tell nothing
        return pd.DataFrame({name: pd.Series(values, dtype=self.dtypes[name]) for name, values in frame.items()})

    def rows(self, count: int) -> Frame:
        """New rows: cells of the reference put together anew, numbers of every size, and new words where they go."""
        rng = np.random.default_rng(self.seed + 1)
        made = {name: rng.choice(values, count) for name, values in self.frame.items()}
        for name, values in made.items():
            at = rng.integers(0, count, 4)
            if name in self.open_columns:
                values[at] = [*NEW_WORDS, "", "a"]
            elif values.dtype == np.float64:
                values[at] = rng.normal(size=4) * 10.0 ** rng.integers(-3, 9, 4)
        return made


def _numbers(kind: str, rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=ROWS)
    match kind:
        case "money":
            return np.round(np.exp(values + 5), 2)
        case "epoch":
            return np.round(1.7e9 + values * 1e6, 3)
        case "whole":
            return np.round(values * 5).astype(np.int64)
        case "truth":
            return values > 0
        case "single":
            return values.astype(np.float32)
    return values


def _of_numbers(draw: st.DrawFn, name: str, holes: bool) -> Any:
    scalers = [preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.RobustScaler]
    scaler = draw(st.sampled_from([*scalers, preprocessing.FunctionTransformer]))()
    if not holes or (name in TAKE_MISSING and draw(st.booleans())):
        return scaler
    strategy = draw(st.sampled_from(["mean", "median", "most_frequent"]))
    return make_pipeline(impute.SimpleImputer(strategy=strategy, add_indicator=draw(st.booleans())), scaler)


def _of_words(draw: st.DrawFn) -> tuple[Any, bool]:
    """What encodes a column of words, and whether it takes others than it has seen."""
    if draw(st.booleans()):
        handle = draw(st.sampled_from(["ignore", "error"]))
        return preprocessing.OneHotEncoder(handle_unknown=handle, sparse_output=False), handle == "ignore"
    return preprocessing.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    ), True


@st.composite
def pipelines(draw: st.DrawFn, family: str) -> Made:
    """A fitted pipeline that ends with an estimator of the family."""
    make, classify = FAMILIES[family]
    name = family.rpartition(" ")[0]
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    holes = draw(st.booleans())
    frame: Frame = {}
    open_columns = set()
    for index in range(draw(st.integers(1, 4))):
        values = _numbers(draw(st.sampled_from(KINDS)), rng)
        if holes and values.dtype.kind == "f":
            values[rng.random(ROWS) < 0.2] = np.nan
            values[0] = 1
        frame[f"n{index}"] = values
    # scikit-learn imputes nothing in truth values, which a DataFrame of nothing else holds
    truths = holes and all(values.dtype == bool for values in frame.values())
    by_name = draw(st.booleans()) and not truths
    numbers = _of_numbers(draw, name, holes)
    dtypes = {column: draw(st.sampled_from(DTYPES[values.dtype.name])) for column, values in frame.items()}
    if holes and isinstance(numbers, preprocessing.FunctionTransformer):
        # scikit-learn refuses pandas.NA that a transformer left as it was
        dtypes = {column: dtype.replace("Float64", "float64") for column, dtype in dtypes.items()}
    steps: list[Any] = [("numbers", numbers, list(range(len(frame))))]
    for index in range(draw(st.integers(0, 2))):
        encoder, is_open = _of_words(draw)
        words = np.array([*WORDS, *([None] if draw(st.booleans()) else [])], dtype=object)
        steps.append((f"t{index}", encoder, [len(frame)]))
        frame[f"t{index}"] = rng.choice(words, ROWS)
        dtypes[f"t{index}"] = draw(st.sampled_from(["str", "object", "category"]))
        if is_open:
            open_columns.add(f"t{index}")
    if draw(st.integers(0, 3)) == 3:
        vectorizer = draw(st.sampled_from([CountVectorizer, TfidfVectorizer]))()
        steps.append(("free", vectorizer, len(frame)))
        frame["free"] = rng.choice(np.array(SENTENCES, dtype=object), ROWS)
        dtypes["free"] = draw(st.sampled_from(["str", "object"]))
        open_columns.add("free")
    first = np.nan_to_num(np.asarray(frame["n0"], dtype=np.float64))
    signal = (first - first.mean()) / (first.std() + 1) + rng.normal(size=ROWS)
    target: Any = signal
    if classify:
        names = draw(st.sampled_from([("no", "yes", "maybe"), (-1, 3, 7), ("a", "b", "a")]))
        target = np.array(names)[np.digitize(signal, [-0.5, 0.7])]
    if by_name:
        steps = [(step, transformer, _names(list(frame), at)) for step, transformer, at in steps]
    columns = compose.ColumnTransformer(steps, sparse_threshold=0)
    made = Made(
        family,
        make_pipeline(columns, make(seed)),
        frame,
        name in TREES,
        frozenset(open_columns),
        seed,
        dtypes if by_name else None,
    )
    made.estimator.fit(made.given(frame), target)
    return made


def _names(names: list[str], at: int | list[int]) -> str | list[str]:
    return names[at] if isinstance(at, int) else [names[position] for position in at]
