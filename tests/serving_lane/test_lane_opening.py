"""Opening the lane: it is shown to answer golden rows as Python does, or there is none, and why."""

import gc
import os
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

pytest.importorskip("penstock_lane", reason="build and install serving/native (`make native`)")

from penstock_serving.server.lane import compiled, opening
from penstock_serving.server.lane.errors import NoFrontError
from penstock_serving.server.lane.opening import MODULE, open_front

from tests.serving.conftest import wait_for
from tests.serving_lane.lane_models import IDENTITY, ways


class Fake:
    """A native lane of one thread that answers every body by `answer`."""

    threads = 1

    def __init__(self, answer: Callable[[bytes], bytes | None], *_given: object) -> None:
        self._answer = answer

    def ask(self, bodies: list[bytes]) -> tuple[list[bytes | None], list[int], bytes]:
        return [self._answer(body) for body in bodies], [0] * len(bodies), b""


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Fake]]:
    """Put a fake in the native module's place; the list fills with what was made."""
    ways("regressor")

    def put(answer: Callable[[bytes], bytes | None]) -> list[Fake]:
        made: list[Fake] = []

        def make(*given: object) -> Fake:
            made.append(Fake(answer, *given))
            return made[-1]

        module = types.ModuleType(MODULE)
        module.Lane = make
        monkeypatch.setitem(sys.modules, MODULE, module)
        return made

    return put


def refused() -> str:
    with pytest.raises(NoFrontError) as error:
        open_front(ways("regressor").model, IDENTITY, 1)
    return str(error.value)


def test_without_the_module_it_says_which_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    assert refused().startswith("penstock_lane cannot be imported")


def test_without_onnx_runtime_s_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _name: None)
    assert refused() == "ONNX Runtime is installed without its shared library"


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff" * 20])
def test_a_graph_that_cannot_be_opened_is_no_lane(damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "pruned", lambda _model, _output: damage)
    assert refused().startswith("the compiled form cannot be opened: ")


def test_a_graph_without_the_output_is_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "pruned", lambda model, _output: pruned(model, "no such output"))
    pruned = sys.modules["penstock_serving.compile.prune"].pruned
    assert refused() == "the compiled form cannot be opened: it has no output 'no such output'"


def test_no_thread_to_be_had_is_no_lane(faked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object) -> None:
        raise OSError("no thread")

    faked(lambda _body: None)
    monkeypatch.setattr(sys.modules[MODULE], "Lane", fail)
    assert refused() == "the compiled form cannot be opened: no thread"


def answer(body: bytes) -> bytes:
    found = ways("regressor").in_python(body)
    assert not isinstance(found, Exception)
    return found.body


def test_golden_rows_answered_as_python_does_open_the_lane(faked: Any) -> None:
    faked(answer)
    open_front(ways("regressor").model, IDENTITY, 1)


def test_a_few_golden_rows_may_be_left(faked: Any) -> None:
    faked(lambda body: answer(body) if b'"id":"3"' in body else None)
    open_front(ways("regressor").model, IDENTITY, 1)


@pytest.mark.parametrize("which", [b'"id":"0"', b'"id":"15"', b'"name":"x"'])
def test_one_golden_row_answered_otherwise_is_no_lane(which: bytes, faked: Any) -> None:
    faked(lambda body: answer(body).replace(b"0", b"1") if which in body else answer(body))
    assert refused() == "it answers a golden row otherwise than Python does"


def test_a_reader_of_another_spelling_is_no_lane(faked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier versions of orjson wrote 1e16 without a plus."""
    faked(answer)
    monkeypatch.setattr(opening, "_NUMBERS", {1e16: b"1e16"})
    assert refused() == f"orjson {orjson.__version__} writes numbers otherwise than it does"


def test_no_golden_row_answered_is_no_lane(faked: Any) -> None:
    faked(lambda _body: None)
    assert refused() == "it answers none of the golden rows"


def test_a_front_that_is_refused_leaves_no_thread_and_no_descriptor() -> None:
    """The golden rows are another model's: the real lane answers none of them, every time."""
    model = replace(ways("regressor").model, golden=ways("one column").model.golden)

    def held() -> list[int]:
        gc.collect()
        return [len(os.listdir(f"/proc/self/{kind}")) for kind in ("task", "fd")]

    before = held()
    for _ in range(5):
        with pytest.raises(NoFrontError, match="none of the golden rows"):
            open_front(model, IDENTITY, 2)
    # Whoever joins a thread goes on a moment before the kernel has forgotten it.
    wait_for(lambda: held() == before)


@pytest.mark.parametrize("independent", [True, False])
def test_rows_that_depend_on_one_another_are_computed_request_by_request(
    independent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # before the module is replaced
    model = replace(ways("regressor").model, rows_independent=independent)
    native = sys.modules[MODULE]
    together: list[Any] = []

    def lane(*given: Any) -> Any:
        together.append(given[-1])
        return native.Lane(*given)

    module = types.ModuleType(MODULE)
    module.Lane = lane
    monkeypatch.setitem(sys.modules, MODULE, module)
    open_front(model, IDENTITY, 1)
    assert together == [(64 if independent else 1, 256, 64 << 10)]


@pytest.mark.parametrize(
    ("megabytes", "threads", "copies"),
    [(0.01, 1, 1), (0.01, 4, 4), (0.01, 64, 8), (10, 64, 6), (40, 64, 1), (400, 64, 1)],
)
def test_large_models_are_held_by_few_threads(megabytes: float, threads: int, copies: int) -> None:
    assert compiled.copies_of(bytes(int(megabytes * (1 << 20))), threads) == copies


def test_a_model_that_threads_share_has_as_many_as_python_has() -> None:
    assert open_front(ways("a forest").model, IDENTITY, 64).threads == 64
    assert open_front(ways("regressor").model, IDENTITY, 64).threads == 8


@pytest.mark.parametrize(("threads", "refuses"), [(1, True), (64, False)])
def test_what_a_full_lane_has_no_room_for_is_pythons_only_where_python_has_more_threads(
    threads: int, refuses: bool
) -> None:
    class Full:
        def admits(self) -> bool:
            return False

    front = open_front(ways("regressor").model, IDENTITY, threads)
    assert front.admits()
    front._native = Full()
    assert front.admits() is not refuses
