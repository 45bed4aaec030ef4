"""Over generated pipelines: what a server process answers is what scikit-learn answers, however it is asked.

Compiled and not, one request at a time and several at once, JSON and binary, REST and gRPC. What is compiled answers
within the proof's tolerance; what is not, within 1e-12, and trees to the last bit.
"""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from penstock_serving import contract
from penstock_serving.compile.compare import MARGIN, labels, margins, scores
from penstock_serving.model.frame import matrix

from tests.serving.hostile_parts import request
from tests.serving.packages import uncompiled
from tests.serving.property_pipelines import FAMILIES, Frame, Made, pipelines
from tests.serving.property_ways import GRPC, INFER, REST, Asked, Asker, slices

ROWS, ALONE = 24, 18
EXAMPLES = int(os.environ.get("PENSTOCK_PROPERTY_EXAMPLES", "4"))
A_FEW = ("forest classifier", "logistic classifier", "neighbours regressor")
SPOILER = request(b"POST", INFER, b'{"inputs":[{"name":"other","datatype":"FP64","shape":[1],"data":[1]}]}')
SLOW = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
GRAIN = 1e-12


class Comparison:
    """Served answers beside scikit-learn's to the same rows."""

    def __init__(self, made: Made, outputs: list[str], *, compiled: bool) -> None:
        self._made, self._outputs, self._compiled = made, outputs, compiled

    def check(self, asked: Asked) -> None:
        """Raise unless the answers are scikit-learn's."""
        rows = self._made.given(asked.rows)
        by_v1 = asked.way.startswith("v1")
        assert list(asked.answers) == ([""] if by_v1 else sorted(self._outputs, key=list(asked.answers).index))
        for output in self._outputs[:1] if by_v1 else self._outputs:
            wanted = np.asarray(getattr(self._made.estimator, output)(rows))
            ours = asked.answers["" if by_v1 else output]
            assert ours.dtype.kind == ("O" if wanted.dtype.kind in "UO" and not by_v1 else wanted.dtype.kind)
            try:
                self._compare(ours.astype(wanted.dtype), wanted, asked.rows)
            except Exception as error:
                error.add_note(f"{output} by {asked.way}, {'compiled' if self._compiled else 'not compiled'}")
                error.add_note(f"{asked.rows}\n{self._made.estimator}\n{self._made.dtypes}, seed {self._made.seed}")
                raise

    def _compare(self, ours: np.ndarray, wanted: np.ndarray, rows: Frame) -> None:
        assert ours.shape == wanted.shape
        if self._made.exact and not self._compiled:
            np.testing.assert_array_equal(ours, wanted)
        elif wanted.dtype.kind != "f":
            labels(ours, wanted, self._lead(self._made.given(rows)))
        elif self._compiled:
            scores(ours, wanted)
        else:
            grain = GRAIN if wanted.dtype.itemsize > 4 else MARGIN
            allowed = grain * np.maximum(np.abs(wanted), _size_of(matrix(rows)).reshape(-1, *[1] * (wanted.ndim - 1)))
            assert (np.abs(ours - wanted) <= allowed).all()

    def _lead(self, rows: Any) -> np.ndarray | None:
        """By how much the best class leads, where the estimator tells."""
        for output in ("decision_function", "predict_proba"):
            if hasattr(self._made.estimator, output):
                return margins(np.asarray(getattr(self._made.estimator, output)(rows)))
        return None


def _size_of(rows: np.ndarray) -> np.ndarray:
    """The largest number of each row [rows], at least 1: sums over it have its grain."""
    plain = [
        [abs(float(cell)) for cell in row if isinstance(cell, float | int) and cell == cell] for row in rows.tolist()
    ]
    return np.array([max([1.0, *row]) for row in plain])


def ask(made: Made, packaged: Any, serving: Callable[..., Any], port: Callable[[], int]) -> tuple[bool, int]:
    """Serve and compare; whether the compiled form served, and how many requests were answered."""
    grpc_port = port()
    with serving(packaged, **{contract.ENV_GRPC_PORT: str(grpc_port)}) as served:
        about = httpx.get(f"{served.url}/v2/models/fraud").json()
        compiled = about["properties"]["backend"] == "onnx"
        outputs = [output["name"] for output in about["outputs"]]
        asker, rows = Asker(served.port, grpc_port, outputs), made.rows(ROWS)
        whole = {name: np.where(_absent(values), values[~_absent(values)][0], values) for name, values in rows.items()}

        async def work() -> list[Asked]:
            alone = [*await asker.each_way(rows), *await asker.each_way(whole)]
            return alone + await asker.together(slices(rows, ALONE), SPOILER, random.Random(made.seed))

        answered = asyncio.run(work())
        sizes = {one["batch_size"] for one in _statistics(served)["batch_stats"]}
    comparison = Comparison(made, outputs, compiled=compiled)
    for one in answered:
        comparison.check(one)
    ways = {one.way for one in answered}
    assert ways >= {way.name for way in (*REST, *GRPC) if way.name != "JSON by position"}
    if about["properties"]["rows_independent"] == "true":
        assert any(1 < size <= ALONE for size in sizes), f"nothing was computed together: {sorted(sizes)}"
    return compiled, len(answered)


def _absent(values: np.ndarray) -> np.ndarray:
    """Where a column of text has no value."""
    if values.dtype != object:
        return np.zeros(len(values), dtype=bool)
    return np.array([value is None for value in values])


def _statistics(served: Any) -> Any:
    return httpx.get(f"{served.url}/v2/models/fraud/stats").json()["model_stats"][0]


def check(made: Made, pack: Callable[..., Any], serving: Callable[..., Any], port: Callable[[], int]) -> None:
    packaged = pack(made.estimator, made.frame if made.dtypes is None else made.given(made.frame))
    compiled, answered = ask(made, packaged, serving, port)
    if compiled:
        still, more = ask(made, uncompiled(packaged), serving, port)
        assert not still
        answered += more
    print(f"{made.name}: {'compiled and not' if compiled else 'not compiled'}, {answered} requests", flush=True)


@pytest.mark.parametrize("family", A_FEW)
@pytest.mark.filterwarnings("ignore")
def test_generated_pipelines_are_served_as_scikit_learn_answers(
    family: str, pack: Callable[..., Any], serving: Callable[..., Any], port: Callable[[], int]
) -> None:
    @settings(SLOW, max_examples=1, derandomize=True)
    @given(pipelines(family))
    def served_as_it_is(made: Made) -> None:
        check(made, pack, serving, port)

    served_as_it_is()


@pytest.mark.campaign
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_many_generated_pipelines_are_served_as_scikit_learn_answers(
    family: str, pack: Callable[..., Any], serving: Callable[..., Any], port: Callable[[], int]
) -> None:
    @settings(SLOW, max_examples=EXAMPLES)
    @given(pipelines(family))
    def served_as_it_is(made: Made) -> None:
        check(made, pack, serving, port)

    served_as_it_is()
