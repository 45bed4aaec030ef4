"""Neighbours that vote natively answer as scikit-learn does; where that is in doubt, Python is asked, and answers it too."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pytest

pytest.importorskip("penstock_lane", reason="build and install serving/native (`make native`)")

from penstock_serving.jobs.reference import read_signature
from penstock_serving.model import neighbours as read
from penstock_serving.model.direct import direct
from penstock_serving.model.frame import Matrix
from penstock_serving.model.load import Golden, Model
from penstock_serving.model.neighbours import Neighbours, neighbours_of
from penstock_serving.model.outputs import methods
from penstock_serving.protocol import v2
from penstock_serving.protocol.errors import RequestError
from penstock_serving.server.lane.opening import open_front
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KDTree, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

from tests.serving_lane.lane_models import IDENTITY, Ways

RNG = np.random.default_rng(6)
BEGUN = RNG.bit_generator.state
BOTH = "instructions and python"


@pytest.fixture(autouse=True)
def the_same_numbers_in_whatever_order_tests_run() -> None:
    RNG.bit_generator.state = BEGUN


@dataclass(frozen=True)
class Served:
    """A model at a lane, asked both ways, and the rows that Python was asked about since."""

    ways: Ways
    asked: list[Matrix]

    @property
    def computed_by(self) -> str:
        return self.ways.front.computed_by

    def labels(self, rows: Matrix) -> list[Any]:
        """What the lane answers, in requests of many rows and of one, if it does so as Python does."""
        found: list[Any] = []
        for some in np.split(rows, range(100, len(rows), 100)):
            (answer,) = self.ways.natively([table(some)])
            assert answer is not None
            found += orjson.loads(answer.body)["outputs"][0]["data"]
        return found


def table(rows: Matrix) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": list(rows.shape), "data": rows.ravel().tolist()}
    return orjson.dumps({"inputs": [tensor]})


def model_of(estimator: Any, rows: Matrix, labels: Any) -> Model:
    """Fitted on the rows, as it is loaded."""
    estimator.fit(rows, labels)
    signature, _ = read_signature(estimator, {f"x{at}": column for at, column in enumerate(rows.T)})
    own = methods(estimator, [output.name for output in signature.outputs])
    quick = direct(estimator, own, signature)
    golden = Golden(orjson.dumps(v2.encode_request(rows[:16], signature, [])), ())
    found = neighbours_of(estimator) if "predict" in quick else None
    return Model(
        {**own, **quick},
        signature,
        golden,
        IDENTITY.digest,
        "scikit-learn",
        rows_independent=True,
        direct=tuple(quick),
        neighbours=found,
    )


def served(model: Model) -> Served:
    asked: list[Matrix] = []
    predict = model.method("predict")

    def watched(rows: Matrix) -> Matrix:
        asked.append(rows)
        return predict(rows)

    made = replace(model, methods={**model.methods, "predict": watched})
    found = Served(Ways(made, open_front(made, IDENTITY, 1), np.empty((0, len(model.signature.columns)))), asked)
    asked.clear()
    return found


def scaled(neighbours: int = 5) -> Any:
    return make_pipeline(StandardScaler(), KNeighborsClassifier(neighbours))


def classes_of(rows: Matrix, names: Any) -> Any:
    """Labels that are about as many as there are names, and not apart."""
    noisy = rows[:, 0] + RNG.normal(size=len(rows))
    return np.asarray(names)[np.digitize(noisy, np.quantile(noisy, np.linspace(0, 1, len(names) + 1)[1:-1]))]


THREE = ["red", "green", "blue"]


@pytest.mark.parametrize("names", [THREE, [3, -7, 20, 1], [False, True], [0.0, -2.0, 7e9]])
def test_labels_are_those_of_scikit_learn_without_a_call_of_it(names: Any) -> None:
    rows = RNG.normal(size=(700, 4)) * [1, 10, 1e5, 1e-5] + [0, 3, -1e7, 0]
    model = scaled()
    found = served(model_of(model, rows, classes_of(rows, names)))
    assert found.computed_by == BOTH
    near = rows[RNG.integers(0, 700, 3000)] + RNG.normal(size=(3000, 4)) * [1, 10, 1e5, 1e-5]
    assert found.labels(near) == model.predict(near).tolist()
    assert len(found.asked) == 0
    assert all(found.ways.check(table(row[None])) for row in near[:200])


@pytest.mark.parametrize("columns", range(1, 13))
@pytest.mark.parametrize("count", [15, 16, 17, 33, 64, 500])
def test_so_they_are_for_any_number_of_columns_points_and_neighbours(columns: int, count: int) -> None:
    rows = RNG.normal(size=(count, columns))
    asked = np.concatenate([RNG.normal(size=(300, columns)), RNG.normal(size=(50, columns)) * 30])
    for neighbours in (1, 2, 5, 14, min(count, 256)):
        model = KNeighborsClassifier(neighbours, algorithm="kd_tree")
        found = served(model_of(model, rows, classes_of(rows, THREE)))
        assert found.computed_by == BOTH
        assert found.labels(asked) == model.predict(asked).tolist()
        assert len(found.asked) == 0


@pytest.mark.parametrize("neighbours", [1, 2, 4, 5])
def test_points_that_are_as_far_off_are_told_apart_by_scikit_learn(neighbours: int) -> None:
    rows = RNG.integers(-3, 4, (400, 3)).astype(float)
    model = KNeighborsClassifier(neighbours, algorithm="kd_tree")
    made = model_of(model, rows, classes_of(rows, THREE))
    found = served(made)
    assert found.computed_by == BOTH
    asked = RNG.integers(-8, 9, (2000, 3)) / 2
    assert found.labels(asked) == model.predict(asked).tolist()
    for row in asked[:200]:
        assert found.ways.check(table(row[None]))
    assert found.asked


def test_where_points_lie_in_groups_that_are_alike_what_is_clear_is_native() -> None:
    """Each point five times: five neighbours are clear almost everywhere, though they are as far off as each other."""
    rows = np.repeat(RNG.normal(size=(100, 3)), 5, axis=0)
    model = scaled()
    found = served(model_of(model, rows, classes_of(rows, THREE)))
    assert found.computed_by == BOTH
    asked = RNG.normal(size=(500, 3))
    assert found.labels(asked) == model.predict(asked).tolist()
    assert len(found.asked) == 0


def test_rows_in_doubt_are_pythons_and_the_requests_beside_them_are_answered() -> None:
    rows = np.concatenate([RNG.normal(size=(300, 2)) + 50, [[-1.0, 0.0], [1.0, 0.0]]])
    model = KNeighborsClassifier(1)
    found = served(model_of(model, rows, np.array(["far"] * 300 + ["left", "right"])))
    assert found.computed_by == BOTH
    asked = np.array([[-0.5, 0.0], [0.0, 0.0], [0.0, 7.0], [0.5, 0.0], [1.0, 0.0]])
    answers = found.ways.front.ask([table(row[None]) for row in asked]).bodies
    labels = [orjson.loads(answer)["outputs"][0]["data"][0] for answer in answers if answer is not None]
    assert labels == model.predict(asked).tolist()
    assert len(found.asked) > 0


ODD = (np.nan, np.inf, -np.inf, 1e308, -1e308, 1e155, 5e-324, -0.0)


@pytest.mark.parametrize("value", ODD)
def test_odd_numbers_are_answered_or_refused_as_in_python(value: float) -> None:
    rows = RNG.normal(size=(300, 3))
    model = scaled()
    found = served(model_of(model, rows, classes_of(rows, THREE)))
    assert found.computed_by == BOTH
    for place in range(3):
        asked = RNG.normal(size=(2, 3))
        asked[1, place] = value
        body = table(asked)
        with np.errstate(all="ignore"):
            if not found.ways.check(body):
                # neither JSON nor the model has such a number
                assert not np.isfinite(value)
                assert isinstance(found.ways.in_python(body), RequestError)


def test_points_of_huge_and_of_tiny_numbers_are_no_matter() -> None:
    for scale in (1e-200, 1e-160, 1e-120, 1e100, 1e153, 1e200):
        rows = RNG.normal(size=(200, 3)) * scale
        model = KNeighborsClassifier()
        asked = RNG.normal(size=(300, 3)) * scale
        with np.errstate(all="ignore"):
            found = served(model_of(model, rows, classes_of(rows, THREE)))
            if 1e-130 < scale < 1e120:
                assert found.computed_by == BOTH
            assert found.labels(asked) == model.predict(asked).tolist()


class Reversed(KNeighborsClassifier):
    """Inherits everything but what it answers."""

    def predict(self, X: Matrix) -> Any:
        return super().predict(X)[::-1]


def overridden() -> Any:
    model = KNeighborsClassifier()
    model.predict = lambda X: np.full(len(X), "red", dtype=object)
    return model


NATIVE: dict[str, Callable[[], Any]] = {
    "scaled": scaled,
    "by itself": KNeighborsClassifier,
    "minkowski's distance of two": lambda: KNeighborsClassifier(p=2, metric="minkowski"),
    "from least to most": lambda: make_pipeline(MinMaxScaler((-1, 3)), "passthrough", KNeighborsClassifier(3)),
    "scaled twice": lambda: make_pipeline(StandardScaler(with_mean=False), MinMaxScaler(), KNeighborsClassifier(3)),
    "moved": lambda: make_pipeline(StandardScaler(with_std=False), KNeighborsClassifier(3)),
    "searched": lambda: GridSearchCV(scaled(), {"kneighborsclassifier__n_neighbors": [4]}, cv=2),
}
PYTHONS: dict[str, Callable[[], Any]] = {
    "a class of one's own": Reversed,
    "a method of one's own": overridden,
    "tables between its steps": lambda: make_pipeline(
        StandardScaler().set_output(transform="pandas"), KNeighborsClassifier()
    ),
    "a step that is not known": lambda: make_pipeline(RobustScaler(), KNeighborsClassifier()),
    "a function": lambda: make_pipeline(FunctionTransformer(np.arctan), KNeighborsClassifier()),
    "cut off": lambda: make_pipeline(MinMaxScaler(clip=True), KNeighborsClassifier()),
    "by distance": lambda: KNeighborsClassifier(weights="distance"),
    "another distance": lambda: KNeighborsClassifier(metric="manhattan"),
    "of three": lambda: KNeighborsClassifier(p=3),
    "another tree": lambda: KNeighborsClassifier(algorithm="ball_tree"),
    "one by one": lambda: KNeighborsClassifier(algorithm="brute"),
    "by threads": lambda: KNeighborsClassifier(n_jobs=2),
    "very many neighbours": lambda: KNeighborsClassifier(257, algorithm="kd_tree"),
}


@pytest.mark.parametrize("name", NATIVE)
def test_what_is_known_is_native(name: str) -> None:
    middle = np.array([0, 5, -90, 1e4])
    rows = RNG.normal(size=(300, 4)) + middle
    model = NATIVE[name]()
    found = served(model_of(model, rows, classes_of(rows, THREE)))
    assert found.computed_by == BOTH
    asked = RNG.normal(size=(500, 4)) * 2 + middle
    assert found.labels(asked) == model.predict(asked).tolist()
    assert len(found.asked) == 0


@pytest.mark.parametrize("name", PYTHONS)
def test_what_is_not_known_is_called_as_before(name: str) -> None:
    pytest.importorskip("pandas")
    rows = RNG.normal(size=(300, 4))
    found = served(model_of(PYTHONS[name](), rows, classes_of(rows, THREE)))
    assert found.computed_by == "python"
    for some in (rows[:200], rows[:1], rows[1:2]):
        assert found.ways.check(table(some))
    assert len(found.asked) > 0


def test_single_precision_more_than_one_answer_and_more_points_than_may_be_are_pythons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = RNG.normal(size=(300, 4))
    labels = classes_of(rows, [1, 2, 3])
    assert served(model_of(KNeighborsClassifier(), rows.astype(np.float32), labels)).computed_by == "python"
    assert neighbours_of(KNeighborsClassifier().fit(rows, np.column_stack([labels, labels]))) is None
    assert neighbours_of(KNeighborsRegressor().fit(rows, labels)) is None
    assert neighbours_of(KNeighborsClassifier().fit(rows, np.arange(300) // 4)) is None
    # 300 points in leaves of 16 are 304
    monkeypatch.setattr(read, "_MOST_NUMBERS", 1215)
    assert neighbours_of(KNeighborsClassifier().fit(rows, labels)) is None
    monkeypatch.setattr(read, "_MOST_NUMBERS", 1216)
    assert neighbours_of(KNeighborsClassifier().fit(rows, labels)) is not None


def test_the_distance_is_that_of_the_tree_whatever_the_parameters_say() -> None:
    rows = RNG.normal(size=(300, 4))
    labels = classes_of(rows, THREE)
    model = KNeighborsClassifier(algorithm="kd_tree").fit(rows, labels)
    assert neighbours_of(model) is not None
    model.fit(KDTree(rows, metric="manhattan"), labels)
    assert model.effective_metric_ == "euclidean"
    assert neighbours_of(model) is None


def test_an_estimator_without_what_its_class_has_is_none_that_is_known() -> None:
    fitted = scaled().fit(RNG.normal(size=(50, 2)), np.arange(50) % 2)
    assert neighbours_of(fitted) is not None
    for step, name in ((0, "scale_"), (1, "_tree"), (1, "classes_")):
        broken = scaled().fit(RNG.normal(size=(50, 2)), np.arange(50) % 2)
        delattr(broken[step], name)
        assert neighbours_of(broken) is None
    assert neighbours_of(scaled()) is None
    assert neighbours_of(object()) is None


def other(known: Neighbours) -> dict[str, Neighbours]:
    return {
        "other labels": replace(known, codes=(known.codes + 1) % 3),
        "labels in another order": replace(known, classes=known.classes[::-1]),
        "a label less": replace(known, classes=known.classes[:2]),
        "unknown labels": replace(known, classes=np.array(["a", "b", "c"], dtype=object)),
        "codes of other labels": replace(known, codes=known.codes - 1),
        "codes that are no bytes": replace(known, codes=known.codes + 256),
        "too few labels": replace(known, codes=known.codes[:-1]),
        "other points": replace(known, points=known.points[::-1].copy()),
        "points that are missing": replace(known, points=np.where(known.points > 2, np.nan, known.points)),
        "points of other columns": replace(known, points=known.points[:, :3].copy()),
        "points in single precision": replace(known, points=known.points.astype(np.float32)),
        "another step": replace(known, steps=(*known.steps, ("multiply", np.array([1.0, -5.0, 1.0, 1.0])))),
        "a step that is not known": replace(known, steps=(("power", np.ones(4)),)),
        "a step of fewer columns": replace(known, steps=(("add", np.zeros(3)),)),
        "nobody": replace(known, voting=0),
        "more than there are": replace(known, voting=301),
        "only doubt": replace(known, points=np.zeros_like(known.points)),
    }


def test_neighbours_that_answer_otherwise_than_the_model_are_not_asked() -> None:
    rows = RNG.normal(size=(300, 4))
    model = model_of(scaled(), rows, classes_of(rows, THREE))
    assert model.neighbours is not None
    assert served(model).computed_by == BOTH
    for name, neighbours in other(model.neighbours).items():
        found = served(replace(model, neighbours=neighbours))
        assert found.computed_by == "python", name
        assert found.ways.check(table(rows[:5])), name


def test_a_native_module_without_neighbours_calls_python(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RNG.normal(size=(100, 2))
    monkeypatch.delattr(sys.modules["penstock_lane"], "Neighbours")
    assert served(model_of(scaled(), rows, classes_of(rows, THREE))).computed_by == "python"
