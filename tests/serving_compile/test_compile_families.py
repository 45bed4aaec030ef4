"""Every family on the allow-list compiles and answers as scikit-learn on the rows of the proof."""

import functools

import numpy as np
import pytest
from sklearn import (
    cluster,
    compose,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    naive_bayes,
    neural_network,
    preprocessing,
    svm,
    tree,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from tests.serving_compile import compile_samples as data

scaled = functools.partial(make_pipeline, preprocessing.StandardScaler())


def by_column(**options):
    """Numbers imputed and scaled, text one-hot, the rest as it is."""
    return compose.ColumnTransformer(
        [
            ("numbers", make_pipeline(impute.SimpleImputer(**options), preprocessing.StandardScaler()), [0, 1]),
            ("town", preprocessing.OneHotEncoder(handle_unknown="ignore"), [2]),
            ("kind", preprocessing.OneHotEncoder(drop="if_binary"), [3]),
        ],
        remainder="passthrough",
    )


def ordinal():
    codes = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    return compose.ColumnTransformer([("text", codes, [2, 3])], remainder="passthrough")


CASES = {
    "logistic, two classes": (scaled(linear_model.LogisticRegression()), data.numeric, data.TWO),
    "logistic, three classes": (scaled(linear_model.LogisticRegression()), data.numeric, data.THREE),
    "logistic, numbered classes": (linear_model.LogisticRegression(max_iter=500), data.numeric, data.NUMBERED),
    "logistic, truth values": (linear_model.LogisticRegression(max_iter=500), data.numeric, data.TRUTH),
    "logistic, whole numbers": (scaled(linear_model.LogisticRegression()), data.whole_numbers, data.TWO),
    "logistic, single precision": (scaled(linear_model.LogisticRegression()), data.single_precision, data.THREE),
    "linear": (linear_model.LinearRegression(), data.numeric, data.TARGET),
    "linear, several targets": (linear_model.LinearRegression(), data.numeric, data.SEVERAL),
    "ridge on money": (make_pipeline(preprocessing.RobustScaler(), linear_model.Ridge()), data.money, data.TARGET),
    "lasso": (
        make_pipeline(preprocessing.MinMaxScaler(clip=True), linear_model.Lasso(0.01)),
        data.numeric,
        data.TARGET,
    ),
    "elastic net": (
        make_pipeline(preprocessing.MaxAbsScaler(), linear_model.ElasticNet(0.01)),
        data.numeric,
        data.TARGET,
    ),
    "Poisson": (linear_model.PoissonRegressor(), data.numeric, data.POSITIVE),
    "SGD classifier": (scaled(linear_model.SGDClassifier(loss="log_loss", random_state=0)), data.numeric, data.THREE),
    "SGD hinge": (scaled(linear_model.SGDClassifier(random_state=0)), data.numeric, data.TWO),
    "SGD regressor": (scaled(linear_model.SGDRegressor(random_state=0)), data.numeric, data.TARGET),
    "ridge classifier": (linear_model.RidgeClassifier(), data.numeric, data.THREE),
    "linear SVC": (scaled(svm.LinearSVC()), data.numeric, data.THREE),
    "linear SVR": (scaled(svm.LinearSVR(max_iter=20_000)), data.numeric, data.TARGET),
    "linear discriminant": (discriminant_analysis.LinearDiscriminantAnalysis(), data.numeric, data.THREE),
    "SVC, two classes": (scaled(svm.SVC()), data.numeric, data.TWO),
    "SVC, three classes": (scaled(svm.SVC()), data.numeric, data.THREE),
    "SVC, one against one": (scaled(svm.SVC(kernel="poly", decision_function_shape="ovo")), data.numeric, data.THREE),
    "SVR": (scaled(svm.SVR()), data.numeric, data.TARGET),
    "one-class SVM": (scaled(svm.OneClassSVM()), data.numeric, None),
    "tree": (tree.DecisionTreeClassifier(random_state=0), data.with_missing, data.THREE),
    "tree, whole numbers": (tree.DecisionTreeClassifier(random_state=0), data.whole_numbers, data.TWO),
    "tree regressor, several targets": (tree.DecisionTreeRegressor(random_state=0), data.numeric, data.SEVERAL),
    "forest": (ensemble.RandomForestClassifier(8, random_state=0), data.numeric, data.TWO),
    "forest, single precision": (ensemble.RandomForestClassifier(8, random_state=0), data.single_precision, data.THREE),
    "forest regressor": (ensemble.RandomForestRegressor(8, random_state=0), data.with_missing, data.TARGET),
    "extra trees": (ensemble.ExtraTreesClassifier(8, random_state=0), data.numeric, data.THREE),
    "extra trees regressor": (ensemble.ExtraTreesRegressor(8, random_state=0), data.money, data.TARGET),
    "gradient boosting": (ensemble.GradientBoostingClassifier(n_estimators=8), data.numeric, data.THREE),
    "gradient boosting, exponential": (
        ensemble.GradientBoostingClassifier(n_estimators=8, loss="exponential"),
        data.numeric,
        data.TWO,
    ),
    "gradient boosting regressor": (ensemble.GradientBoostingRegressor(n_estimators=8), data.money, data.TARGET),
    "histogram boosting": (ensemble.HistGradientBoostingClassifier(max_iter=6), data.with_missing, data.THREE),
    "histogram boosting, two classes": (ensemble.HistGradientBoostingClassifier(max_iter=6), data.epochs, data.TRUTH),
    "histogram boosting, Poisson": (
        ensemble.HistGradientBoostingRegressor(max_iter=6, loss="poisson"),
        data.numeric,
        data.POSITIVE,
    ),
    "AdaBoost, two classes": (ensemble.AdaBoostClassifier(n_estimators=8, random_state=0), data.numeric, data.TWO),
    "AdaBoost, three classes": (ensemble.AdaBoostClassifier(n_estimators=8, random_state=0), data.numeric, data.THREE),
    "isolation forest": (
        ensemble.IsolationForest(n_estimators=8, max_features=0.5, random_state=0),
        data.numeric,
        None,
    ),
    "perceptron": (scaled(neural_network.MLPClassifier((8,), max_iter=30, tol=1)), data.numeric, data.THREE),
    "perceptron, two classes": (
        scaled(neural_network.MLPClassifier((8, 4), activation="tanh", max_iter=30, tol=1)),
        data.numeric,
        data.TWO,
    ),
    "perceptron regressor": (
        scaled(neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, tol=10)),
        data.numeric,
        data.TARGET,
    ),
    "Gaussian Bayes": (naive_bayes.GaussianNB(), data.numeric, data.THREE),
    "Bernoulli Bayes": (naive_bayes.BernoulliNB(binarize=0.5), data.numeric, data.TWO),
    "multinomial Bayes": (naive_bayes.MultinomialNB(), data.counts, data.THREE),
    "k-means": (cluster.KMeans(4, n_init=1, random_state=0), data.numeric, None),
    "principal components": (
        make_pipeline(decomposition.PCA(3, whiten=True), linear_model.LogisticRegression()),
        data.numeric,
        data.TWO,
    ),
    "polynomials": (
        scaled(preprocessing.PolynomialFeatures(3), linear_model.Ridge()),
        data.numeric,
        data.TARGET,
    ),
    "bins": (
        make_pipeline(preprocessing.KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), linear_model.Ridge()),
        data.numeric,
        data.TARGET,
    ),
    "selection": (
        make_pipeline(feature_selection.SelectKBest(k=3), tree.DecisionTreeClassifier(random_state=0)),
        data.numeric,
        data.TWO,
    ),
    "union": (
        make_pipeline(
            FeatureUnion([("all", "passthrough"), ("norm", preprocessing.Normalizer())]), linear_model.Ridge()
        ),
        data.numeric,
        data.TARGET,
    ),
    "scaled forest": (scaled(ensemble.RandomForestClassifier(8, random_state=0)), data.numeric, data.THREE),
    "mixed, logistic": (
        make_pipeline(by_column(), linear_model.LogisticRegression(max_iter=2000)),
        data.mixed_with_missing,
        data.THREE,
    ),
    "mixed, forest": (
        make_pipeline(
            by_column(strategy="median", add_indicator=True), ensemble.RandomForestClassifier(8, random_state=0)
        ),
        data.mixed_with_missing,
        data.TWO,
    ),
    "mixed, histogram boosting": (
        make_pipeline(ordinal(), ensemble.HistGradientBoostingClassifier(max_iter=6, categorical_features=[0, 1])),
        data.mixed_with_missing,
        data.TRUTH,
    ),
    "text imputed": (
        Pipeline(
            [
                (
                    "columns",
                    compose.ColumnTransformer(
                        [
                            (
                                "text",
                                make_pipeline(
                                    impute.SimpleImputer(missing_values=None, strategy="constant", fill_value="?"),
                                    preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                                ),
                                [2, 3],
                            )
                        ]
                    ),
                ),
                ("model", linear_model.Ridge()),
            ]
        ),
        data.mixed,
        data.TARGET,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_compiled_answers_are_scikit_learns(name):
    estimator, frame, target = CASES[name]
    result = data.proven(estimator, frame(), target)
    # scikit-learn multiplies matrices of single precision in single precision, the compiled model in double
    most = 1e-5 if "single precision" in name else 1e-9
    assert all(compared.largest_difference <= most for compared in result.proof.compared)
    assert result.proof.rows_independent
    assert result.proof.splits == result.proof.splits_visited


class Halved(preprocessing.StandardScaler):
    """A subclass that could do anything."""


def _with_own_method():
    estimator = linear_model.Ridge()
    estimator.decision_function = lambda rows: rows
    return estimator


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (make_pipeline(Halved(), linear_model.Ridge()), "a Halved as a transforming step is not compiled"),
        (make_pipeline(preprocessing.FunctionTransformer(np.abs), linear_model.Ridge()), "a function of its own"),
        (make_pipeline(preprocessing.QuantileTransformer(n_quantiles=9), linear_model.Ridge()), "QuantileTransformer"),
        (ensemble.AdaBoostRegressor(), "a AdaBoostRegressor is not compiled"),
        (ensemble.GradientBoostingRegressor(init=linear_model.Ridge()), "an init estimator of its own"),
        (
            make_pipeline(preprocessing.OneHotEncoder(max_categories=2, handle_unknown="ignore"), linear_model.Ridge()),
            "infrequent categories",
        ),
        (svm.SVR(kernel=lambda one, other: one @ other.T), "a kernel of its own"),
    ],
)
def test_what_is_not_on_the_allow_list_is_not_guessed_at(estimator, reason):
    assert reason in data.unproven(estimator, data.numeric(), data.TARGET).reason
