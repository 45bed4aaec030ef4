"""Models that the server had to unpickle, under a filter that lets it start no process, are explained as others are."""

import os
import signal
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penstock_serving import contract
from penstock_serving.explain.plan_npz import load
from penstock_serving.model.files import EXPLAIN_FILE
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from tests.serving.conftest import children
from tests.serving.packages import uncompiled, unexplained

EXPLAIN = "/v2/models/fraud/explain"
ROWS = np.random.default_rng(3).normal(size=(120, 3)).round(3)
FRAME = {f"c{index}": ROWS[:, index] for index in range(3)}
LABELS = (ROWS.sum(axis=1) > 0).astype(int)
ASKED = ROWS[:4]
REQUEST = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [*ASKED.shape], "data": ASKED.tolist()}]}


def explained(caller: Any, wait: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray, str]:
    """Contributions [rows, columns, outputs], base values [outputs] and method."""
    # The explaining process starts with the first question, at idle priority: on a busy machine not in its time.
    answer = wait(lambda: (found := caller.post(EXPLAIN, REQUEST))[0] == 200 and found[2], 120)
    found = {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in answer["outputs"]}
    return found["contributions"], found["base_values"], answer["parameters"]["method"]


def by_definition(predict: Callable[[np.ndarray], np.ndarray], row: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Shapley values [columns, outputs]: what each column adds, on average over all orders of the columns."""
    orders = list(permutations(range(len(row))))
    total = np.zeros((len(row), predict(background).shape[1]))
    for order in orders:
        known = background.copy()
        before = predict(known).mean(axis=0)
        for column in order:
            known[:, column] = row[column]
            after = predict(known).mean(axis=0)
            total[column] += after - before
            before = after
    return total / len(orders)


def filtered(process: int) -> bool:
    return "Seccomp:\t2" in Path(f"/proc/{process}/status").read_text()


@pytest.fixture(scope="module")
def neighbours(pack: Callable[..., Any]) -> Any:
    return pack(KNeighborsClassifier(5).fit(ROWS, LABELS), FRAME)


def test_a_model_that_is_asked_gets_the_values_of_the_definition(
    neighbours: Any, serving: Callable[..., Any], talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    with serving(neighbours) as served, talker(served.port) as caller:
        assert "serving by scikit-learn" in served.log()
        contributions, base, method = explained(caller, wait)
        assert filtered(served.server.pid)
        (starter,) = children(served.server.pid)
        (explaining,) = children(starter)
        assert filtered(explaining), "a pickle is opened there as well"
    plan = load((neighbours.directory / EXPLAIN_FILE).read_bytes())
    background, predict = plan.model.background, neighbours.estimator.predict_proba
    assert method == "exact"
    for row, found in zip(ASKED, contributions, strict=True):
        np.testing.assert_allclose(found, by_definition(predict, row, background), rtol=0, atol=1e-9)
    np.testing.assert_allclose(base, predict(background).mean(axis=0), rtol=0, atol=1e-9)


def test_trees_are_explained_alike_compiled_and_unpickled(
    pack: Callable[..., Any], serving: Callable[..., Any], talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    packaged = pack(RandomForestClassifier(5, max_depth=4, random_state=0).fit(ROWS, LABELS), FRAME)
    pickled = uncompiled(packaged)
    answers = []
    for each, workers in ((packaged, "1"), (pickled, "1"), (pickled, "2")):
        with serving(each, **{contract.ENV_WORKERS: workers}) as served, talker(served.port) as caller:
            answers.append(explained(caller, wait))
    compiled, *unpickled = answers
    for answer in unpickled:
        for wanted, found in zip(compiled, answer, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_the_explaining_process_goes_with_its_server_and_is_started_again_when_it_dies(
    neighbours: Any, serving: Callable[..., Any], talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    with serving(neighbours) as served, talker(served.port) as caller:
        explained(caller, wait)
        (starter,) = children(served.server.pid)
        (first,) = children(starter)
        os.kill(first, signal.SIGKILL)
        explained(caller, wait)
        (second,) = children(starter)
        assert second != first
        served.server.send_signal(signal.SIGKILL)
        served.server.wait(30)
        wait(lambda: not Path(f"/proc/{starter}").exists() and not Path(f"/proc/{second}").exists())


def test_a_model_that_is_not_explained_says_why(
    neighbours: Any, serving: Callable[..., Any], talker: Callable[..., Any]
) -> None:
    with serving(unexplained(neighbours)) as served, talker(served.port) as caller:
        status, _, answer = caller.post(EXPLAIN, REQUEST)
        assert (status, answer["error"]) == (501, "this model is not explained: its package holds no explainer")


def test_a_server_whose_starter_is_gone_says_so_and_goes_on_predicting(
    neighbours: Any, serving: Callable[..., Any], talker: Callable[..., Any], wait: Callable[..., Any]
) -> None:
    with serving(neighbours) as served, talker(served.port) as caller:
        os.kill(children(served.server.pid)[0], signal.SIGKILL)
        status, _, answer = caller.post(EXPLAIN, REQUEST)
        assert (status, "cannot start a process" in answer["error"]) == (501, True)
        assert caller.post("/v2/models/fraud/infer", REQUEST)[0] == 200
        assert caller.post(EXPLAIN, REQUEST)[0] == 501
        assert served.metric(served.metrics_port, contract.METRIC_REQUESTS, route="explain", code="501") == 2
