"""What a package holds besides the model: reference histograms, a card, why something is not there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penstock_serving.jobs.data import data_digest, require_same
from penstock_serving.jobs.evaluation import evaluate
from penstock_serving.jobs.importance import importance
from penstock_serving.jobs.package import package
from penstock_serving.jobs.reference import read_signature
from penstock_serving.model import card as cards
from penstock_serving.model import serving as serving_json
from penstock_serving.model.card import Card, Data, Importance, Latency, Metric, Training
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import matrix
from penstock_serving.model.outputs import methods
from penstock_serving.model.signature import OUTPUTS
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RANDOM = np.random.default_rng(11)
ROWS = 300
FRAME: dict[str, np.ndarray] = {
    "amount": RANDOM.normal(size=ROWS),
    "noise": RANDOM.normal(size=ROWS),
    "country": RANDOM.choice(np.array(["DE", "FR", "IT"], dtype=object), ROWS),
}
LABELS = np.where(FRAME["amount"] + (FRAME["country"] == "DE") > 0, "yes", "no")
CARD = Card(
    owner="Risk",
    purpose="Holds back payments",
    cost_of_errors="A customer waits a day",
    data=Data("2026-11", "sha256:" + "0" * 64, 300),
    training=Training(12.5, 20.0, 1 << 30, (7, 8)),
    metrics=(Metric("accuracy", 0.9, 0.6, "held-out rows"), Metric("cost", 3.0, None, "held-out rows")),
    importance=(Importance("amount", 0.4),),
    latency=Latency("onnx", 1e-5, 2e-5),
    size_bytes=100,
)


def model() -> Any:
    columns = make_column_transformer((StandardScaler(), [0, 1]), (OneHotEncoder(), [2]))
    return make_pipeline(columns, LogisticRegression()).fit(matrix(FRAME), LABELS)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("packages") / "model"
    package(model(), FRAME, directory, card=Card(owner="Risk"))
    return directory


def test_a_package_is_one_flat_directory_of_known_files(packaged: Path) -> None:
    assert {path.name for path in packaged.iterdir()} == {
        "model.joblib",
        "model.onnx",
        "proof.json",
        "serving.json",
        "signature.json",
        "golden.json",
        "reference.json",
        "explain.npz",
        "card.json",
    }


def test_reference_histograms_count_every_row_once(packaged: Path) -> None:
    found = json.loads((packaged / "reference.json").read_text())
    assert found["rows"] == ROWS
    for column in found["columns"]:
        assert sum(column["counts"]) + column["missing"] == ROWS
    assert sum(found["predictions"]["counts"]) == ROWS
    country = next(column for column in found["columns"] if column["name"] == "country")
    assert country["counts"] == [*(int((FRAME["country"] == name).sum()) for name in ("DE", "FR", "IT")), 0]
    assert found["predictions"]["counts"] == [
        int((model().predict(matrix(FRAME)) == name).sum()) for name in ("no", "yes")
    ]


def test_the_buckets_of_a_column_hold_about_as_many_rows_each(packaged: Path) -> None:
    amount = json.loads((packaged / "reference.json").read_text())["columns"][0]["counts"]
    assert max(amount) <= 2 * ROWS / len(amount)


def test_what_the_owner_says_is_kept_and_the_rest_is_found_out(packaged: Path) -> None:
    card = cards.load((packaged / "card.json").read_bytes())
    assert card.owner == "Risk"
    assert card.size_bytes == (packaged / "model.joblib").stat().st_size
    assert [item.column for item in card.importance][-1] == "noise"


def test_a_card_is_read_as_it_was_written() -> None:
    assert cards.load(cards.dump(CARD)) == CARD
    assert cards.load(cards.dump(cards.EMPTY)) == cards.EMPTY


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card.pop("owner"), "exactly"),
        (lambda card: card.update(more=1), "exactly"),
        (lambda card: card.update(owner=5), "owner is not text"),
        (lambda card: card["metrics"][0].update(value=True), r"metrics\[0\].value is not a finite number"),
        (lambda card: card["training"].update(seeds=[-1]), "training.seeds is not a whole number"),
        (lambda card: card["data"].pop("version"), "data is not an object"),
        (lambda card: card.update(format="x"), "format"),
        (lambda card: card.update(importance={}), "importance is not a list"),
    ],
)
def test_a_card_is_read_strictly(change: Any, words: str) -> None:
    document = json.loads(cards.dump(CARD))
    change(document)
    with pytest.raises(BadModelError, match=words):
        cards.load(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.update(estimator="../model.joblib"), "estimator is not one of"),
        (lambda found: found.update(rows_independent=1), "rows_independent is not true or false"),
        (lambda found: found["compiled"].pop("proof"), "compiled is not an object"),
        (lambda found: found.update(compiled="yes"), "compiled is not an object"),
        (lambda found: found.update(not_compiled=None), "not_compiled is not text"),
    ],
)
def test_how_a_package_may_be_served_is_read_strictly(packaged: Path, change: Any, words: str) -> None:
    document = json.loads((packaged / "serving.json").read_text())
    change(document)
    with pytest.raises(BadModelError, match=words):
        serving_json.load(json.dumps(document).encode())


def test_the_same_arguments_give_the_same_digest(packaged: Path, tmp_path: Path) -> None:
    again = package(model(), FRAME, tmp_path / "model", card=Card(owner="Risk"))
    assert again == tree_digest(packaged)


def test_a_column_that_decides_is_more_important_than_one_that_does_not() -> None:
    estimator = model()
    signature, rows = read_signature(estimator, FRAME)
    found = {item.column: item.value for item in importance(methods(estimator, OUTPUTS), signature, rows)}
    assert found["amount"] > 5 * found["noise"]
    assert found["country"] > 5 * found["noise"]


def test_a_column_that_a_model_does_not_look_at_has_no_importance() -> None:
    frame = {"a": FRAME["amount"], "b": FRAME["noise"]}
    estimator = LinearRegression().fit(np.stack([frame["a"], np.zeros(ROWS)], axis=1), frame["a"])
    signature, rows = read_signature(estimator, frame)
    assert importance(methods(estimator, OUTPUTS), signature, rows)[-1] == Importance("b", 0.0)


def test_a_classifier_is_better_than_the_shares_of_its_classes_if_it_has_learned() -> None:
    estimator = model()
    signature, rows = read_signature(estimator, FRAME)
    found = {metric.name: metric for metric in evaluate(methods(estimator, OUTPUTS), signature, rows, LABELS)}
    assert set(found) == {"accuracy", "log_loss", "roc_auc"}
    assert found["accuracy"].value > found["accuracy"].baseline
    assert found["log_loss"].value < found["log_loss"].baseline
    assert found["roc_auc"].value > 0.9


def test_a_model_that_has_learned_nothing_is_as_good_as_its_baseline() -> None:
    estimator = DummyClassifier(strategy="prior").fit(matrix(FRAME), LABELS)
    signature, rows = read_signature(estimator, FRAME)
    for metric in evaluate(methods(estimator, OUTPUTS), signature, rows, LABELS):
        assert metric.value == pytest.approx(metric.baseline)


def test_a_regressor_is_measured_against_the_mean() -> None:
    frame = {"a": FRAME["amount"]}
    estimator = LinearRegression().fit(matrix(frame), 2 * frame["a"] + 1)
    signature, rows = read_signature(estimator, frame)
    found = {m.name: m for m in evaluate(methods(estimator, OUTPUTS), signature, rows, 2 * frame["a"] + 1)}
    assert found["r2"].value == pytest.approx(1.0)
    assert found["mean_absolute_error"].value == pytest.approx(0.0, abs=1e-9)
    assert found["mean_absolute_error"].baseline > 1


def test_labels_that_the_model_does_not_know_are_refused() -> None:
    estimator = model()
    signature, rows = read_signature(estimator, FRAME)
    with pytest.raises(BadModelError, match="a class that the model does not know"):
        evaluate(methods(estimator, OUTPUTS), signature, rows, np.where(LABELS == "no", "never", LABELS))


def test_training_data_that_were_changed_are_found_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n")
    data = Data("v1", data_digest(file))
    require_same(data, file)
    file.write_text("a\n2\n")
    with pytest.raises(BadModelError, match="the model was trained on"):
        require_same(data, file)


def test_a_folder_of_training_data_has_the_digest_of_a_model_s_folder(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("a\n1\n")
    assert data_digest(tmp_path) == tree_digest(tmp_path)
