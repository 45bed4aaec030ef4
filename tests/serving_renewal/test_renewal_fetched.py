"""A form that was proved with another ONNX Runtime is proved again where it is fetched, and then serves as it did."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
import skops.io
from penstock_serving import contract
from penstock_serving.jobs.contents import Reference, Source, contents
from penstock_serving.jobs.package import package, write
from penstock_serving.model.files import MODEL_FILE, SIGNATURE_FILE, SKOPS_FILE
from penstock_serving.model.frame import matrix
from penstock_serving.model.load import load_model
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from tests.serving_renewal.renewed import (
    EARLIER,
    FRAME,
    LABELS,
    UNRENEWED,
    Fetched,
    bound_anew,
    logistic,
    otherwise_compiled,
    packaged,
    proved_earlier,
    spoiled,
)

HERE = version("onnxruntime")
NOT_PROVED = f"the compiled form is not proved with ONNX Runtime {HERE}: "


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(fetched: Fetched) -> Iterator[tuple[str, int]]:
    """The real server of what was fetched: its URL and process."""
    port = free_port()
    environment = fetched.environment | {
        contract.ENV_MODEL_NAME: "fraud",
        contract.ENV_BIND_ADDRESS: "127.0.0.1",
        contract.ENV_SERVING_PORT: str(port),
        contract.ENV_SERVING_METRICS_PORT: str(free_port()),
        contract.ENV_MONITOR_SOCKET: str(fetched.folder / "monitor.sock"),
    }
    command = [sys.executable, "-m", "penstock_serving.server"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert "is proven; serving by" in server.stdout.readline()
            yield f"http://127.0.0.1:{port}", server.pid
        finally:
            server.terminate()
            server.wait(60)


def properties(url: str) -> dict[str, str]:
    found: dict[str, str] = httpx.get(f"{url}/v2/models/fraud").json()["properties"]
    return found


def probabilities(url: str) -> list[float]:
    inputs = [
        {"name": name, "datatype": "FP64", "shape": [4], "data": values[:4].tolist()} for name, values in FRAME.items()
    ]
    request = {"inputs": inputs, "outputs": [{"name": "predict_proba"}]}
    answer = httpx.post(f"{url}/v2/models/fraud/infer", json=request)
    data: list[float] = answer.json()["outputs"][0]["data"]
    return data


def test_it_is_served_compiled_again_and_scikit_learn_is_never_imported(tmp_path: Path) -> None:
    packaged(tmp_path)
    fetched = Fetched(tmp_path)
    out = fetched.run()
    assert f"proving the compiled form with ONNX Runtime {HERE}, as it was proved with {EARLIER}" in out
    said = fetched.said()
    assert (said["backend"], said["proof"]["versions"]["onnxruntime"]) == ("onnx", HERE)
    assert f"proved on {said['proof']['rows']} rows in " in out
    with served(fetched) as (url, process):
        shown = properties(url)
        assert shown["backend"] == "onnx"
        assert "fallback_reason" not in shown
        assert shown["proof_onnxruntime"] == HERE
        assert shown["proof_rows"] == str(said["proof"]["rows"])
        assert "predict_proba" in shown["proof_largest_differences"]
        assert shown["rows_independent"] == "true"
        expected = logistic().predict_proba(matrix(FRAME))[:4].ravel()
        np.testing.assert_allclose(probabilities(url), expected, rtol=1e-9)
        mapped = Path(f"/proc/{process}/maps").read_text()
        assert "onnxruntime" in mapped
        assert "sklearn" not in mapped


def test_the_package_stays_as_it_was_pinned(tmp_path: Path) -> None:
    packaged(tmp_path)
    fetched = Fetched(tmp_path)
    fetched.run()
    assert {path.name for path in fetched.models.iterdir()} == {fetched.directory.name, fetched.record.name}
    assert load_model(fetched.directory, fetched.digest).backend == "onnx"


def test_a_form_that_is_not_equal_is_refused_and_scikit_learn_serves(tmp_path: Path) -> None:
    otherwise_compiled(packaged(tmp_path))
    fetched = Fetched(tmp_path)
    assert "not proved after" in fetched.run()
    said = fetched.said()
    assert said["backend"] == "scikit-learn"
    assert said["fallbackReason"].startswith(NOT_PROVED + "compiled ")
    assert "is not scikit-learn's on a row of the kind" in said["fallbackReason"]
    with served(fetched) as (url, _):
        shown = properties(url)
        assert (shown["backend"], shown["fallback_reason"]) == ("scikit-learn", said["fallbackReason"])
        expected = logistic().predict_proba(matrix(FRAME))[:4].ravel()
        np.testing.assert_allclose(probabilities(url), expected, rtol=1e-12)


def test_trees_are_asked_at_their_thresholds(tmp_path: Path) -> None:
    model = RandomForestClassifier(10, random_state=0).fit(matrix(FRAME), LABELS)
    package(model, FRAME, tmp_path / "package")
    proved_earlier(tmp_path / "package")
    fetched = Fetched(tmp_path)
    fetched.run()
    (proven,) = json.loads(fetched.record.read_text())["result"].values()
    assert proven["splits_visited"] > 0.8 * proven["splits"] > 0
    assert {kind for kind, _ in proven["rows"]} == {
        "at a split",
        "golden or drawn",
        "many special values",
        "one special value",
    }


def test_it_is_proved_once(tmp_path: Path) -> None:
    packaged(tmp_path)
    fetched = Fetched(tmp_path)
    fetched.run()
    first = fetched.record.stat()
    program = """
import sys
from penstock_serving.fetch import main
code = main()
heavy = {"sklearn", "joblib", "scipy", "numpy", "onnx", "onnxruntime", "skops"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) if heavy else code)
"""
    assert "was judged with the versions of this image before" in fetched.run(("-c", program))
    assert fetched.said()["backend"] == "onnx"
    again = fetched.record.stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


def test_a_record_that_does_not_match_is_made_anew(tmp_path: Path) -> None:
    packaged(tmp_path)
    fetched = Fetched(tmp_path)
    fetched.run()
    spoiled(fetched.record, lambda record: record["bound"]["versions"].update(numpy="1.0.0"))
    assert "proved on" in fetched.run()
    assert load_model(fetched.directory, fetched.digest).backend == "onnx"


def test_a_package_that_needs_no_other_proof_is_fetched_without_the_means_of_it(tmp_path: Path) -> None:
    package(logistic(), FRAME, tmp_path / "package")
    fetched = Fetched(tmp_path)
    program = """
import sys
from penstock_serving.fetch import main
code = main()
means = {"penstock_serving.renewal.renewing", "penstock_serving.sandbox.run", "subprocess"} & set(sys.modules)
sys.exit(", ".join(sorted(means)) if means else code)
"""
    assert "prov" not in fetched.run(("-c", program)).replace('"proof"', "")
    assert not fetched.record.exists()


class Hostile:
    """A pickle that tries to make a file, to write the record of a proof, and to reach out, when it is opened."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code, {})


ATTACK = """
import os, socket
def attempt(what, *arguments):
    try:
        what(*arguments)
    except OSError:
        pass
attempt(os.system, "touch {canary}-shell")
attempt(open, "{canary}-file", "w")
attempt(open, "{record}", "w")
attempt(os.kill, os.getppid(), 9)
attempt(socket.create_connection, ("127.0.0.1", {port}))
attempt(lambda: os.write(2, open("/proc/%d/environ" % os.getppid(), "rb").read()))
os.write(2, b"the payload ran\\n")
"""


def test_a_hostile_pickle_reaches_nothing_and_is_named(tmp_path: Path) -> None:
    root = packaged(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.2)
        record = tmp_path / "models" / "any.renewed.json"
        code = ATTACK.format(canary=tmp_path / "canary", record=record, port=door.getsockname()[1])
        joblib.dump(Hostile(code), root / MODEL_FILE)
        bound_anew(root)
        fetched = Fetched(tmp_path, SECRET="a secret of the store's")
        out = fetched.run()
        with pytest.raises(TimeoutError):
            door.accept()
    said = fetched.said()
    assert said["backend"] == "scikit-learn"
    assert said["fallbackReason"] == NOT_PROVED + "the estimator's file holds a NoneType without predict()"
    assert "a secret" not in out + fetched.record.read_text()
    assert not list(tmp_path.glob("canary*"))
    assert not record.exists()


def test_the_attack_of_that_test_does_succeed_where_nothing_confines_it(tmp_path: Path) -> None:
    code = ATTACK.format(canary=tmp_path / "canary", record=tmp_path / "record", port=1)
    program = code.replace("attempt(os.kill, os.getppid(), 9)\n", "")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert b"the payload ran" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"canary-shell", "canary-file", "record"}


def test_an_estimator_of_another_scikit_learn_gives_no_proof_unless_that_is_allowed(tmp_path: Path) -> None:
    root = packaged(tmp_path)
    spoiled(root / SIGNATURE_FILE, lambda signature: signature["versions"].update(scikit_learn="0.9.1"))
    fetched = Fetched(tmp_path)
    fetched.run()
    reason = fetched.said()["fallbackReason"]
    assert reason.startswith(NOT_PROVED + "the model was made with scikit-learn 0.9.1, this image serves with")
    fetched.record.unlink()
    fetched.environment[contract.ENV_SCIKIT_LEARN_MISMATCH] = "allow"
    fetched.run()
    assert fetched.said()["backend"] == "onnx"


def test_skops_is_opened_with_the_types_that_the_deployer_trusts(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=3).fit(matrix(FRAME), LABELS)
    source = Source(model, SKOPS_FILE, skops.io.dumps(model))
    write(tmp_path / "package", contents(source, Reference(FRAME)).files)
    proved_earlier(tmp_path / "package", SKOPS_FILE)
    fetched = Fetched(tmp_path)
    fetched.run()
    assert "model.skops holds types that nobody trusts" in fetched.said()["fallbackReason"]
    fetched.record.unlink()
    trusted = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
    fetched.environment[contract.ENV_SKOPS_TRUSTED] = trusted
    fetched.run()
    assert fetched.said()["backend"] == "onnx"


def test_a_proof_has_its_time(tmp_path: Path) -> None:
    packaged(tmp_path)
    fetched = Fetched(tmp_path, **{contract.ENV_PROOF_SECONDS: "0.3"})
    assert "this takes 0.3 s at most" in fetched.run()
    assert fetched.said()["fallbackReason"] == NOT_PROVED + "the model's sandbox took longer than 0.3 s"


def test_a_container_that_was_killed_while_it_proved_does_not_begin_again(tmp_path: Path) -> None:
    """As the kernel kills one for want of memory: every next one would fall into the same pit."""
    packaged(tmp_path)
    fetched = Fetched(tmp_path)
    with fetched.start() as process:
        deadline = time.monotonic() + 60
        while not fetched.record.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    assert process.returncode < 0
    assert "was judged with the versions of this image before" in fetched.run()
    assert "was being proved with the versions of this image when its container" in fetched.said()["fallbackReason"]
    model = load_model(fetched.directory, fetched.digest)
    assert (model.backend, model.fallback_reason) == ("scikit-learn", fetched.said()["fallbackReason"])


def test_where_nothing_can_be_kept_it_is_as_if_nothing_was_proved(tmp_path: Path) -> None:
    packaged(tmp_path)
    fetched = Fetched(tmp_path)
    fetched.record.parent.mkdir()
    fetched.record.mkdir()
    assert "the compiled form cannot be proved again here: " in fetched.run()
    assert fetched.said()["fallbackReason"].startswith(UNRENEWED)


def test_what_its_process_was_given_is_hidden_from_other_processes_of_its_user() -> None:
    program = """
import ctypes
from penstock_serving.sandbox.kernel import hide
hide()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert ended.stdout == "0\n"
