"""What is opened in the sandbox can compute, and do nothing else; the canaries show that nothing else was done."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.sandbox.run import Confines, run

MODULES = str(Path(__file__).parent / "modules")
CONFINES = Confines(memory_bytes=4 << 30, cpu_seconds=20, wall_seconds=60)


def outcome(attempt: str, target: object, confines: Confines = CONFINES) -> str:
    parts = {"attempt": attempt.encode(), "target": str(target).encode()}
    return run("attempts", parts, confines, [MODULES])["outcome"].decode()


@pytest.mark.parametrize(
    "attempt",
    [
        "run a program",
        "run a shell",
        "fork",
        "write a file",
        "write an unnamed file",
        "make a folder",
        "raise its limits",
        "kill its parent",
        "trace its parent",
        "an unknown system call",
        "drop the filter",
    ],
)
def test_hostile_code_is_refused(attempt: str, tmp_path: Path) -> None:
    assert outcome(attempt, tmp_path / "canary") == "refused: EPERM"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("attempt", ["append to a file", "remove a file", "read a secret"])
def test_files_that_are_there_are_neither_changed_nor_read(attempt: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    assert outcome(attempt, precious) in {"refused: EPERM", "refused: EACCES"}
    assert precious.read_text() == "mine"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_no_connection_leaves(listener: socket.socket) -> None:
    assert outcome("reach out", listener.getsockname()[1]) == "refused: EPERM"
    with pytest.raises(TimeoutError):
        listener.accept()


def test_no_local_daemon_is_spoken_to(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "daemon"))
        daemon.listen()
        daemon.settimeout(0.2)
        assert outcome("speak to a local daemon", tmp_path / "daemon") == "refused: EPERM"
        with pytest.raises(TimeoutError):
            daemon.accept()


def test_neither_variables_nor_open_files_are_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert outcome("look at variables", "AWS_SECRET_ACCESS_KEY") == "refused: EPERM"
    (tmp_path / "token").write_text("secret")
    with (tmp_path / "token").open() as token:
        os.set_inheritable(token.fileno(), True)
        assert outcome("use an inherited file", token.fileno()) == "refused: EBADF"


@pytest.mark.parametrize("attempt", ["start a thread", "compute", "chatter"])
def test_what_a_model_needs_is_allowed(attempt: str) -> None:
    assert outcome(attempt, "") == "done"


@pytest.mark.parametrize(
    ("attempt", "confines", "words"),
    [
        ("fill memory", CONFINES, "MemoryError"),
        ("spin", Confines(memory_bytes=4 << 30, cpu_seconds=1, wall_seconds=60), "processor seconds"),
        ("spin", Confines(memory_bytes=4 << 30, cpu_seconds=60, wall_seconds=1.0), "took longer than 1 s"),
        ("crash", CONFINES, "SIGSEGV"),
        (
            "compute",
            Confines(memory_bytes=4 << 30, cpu_seconds=20, wall_seconds=60, answer_bytes=1),
            "more than 1 bytes",
        ),
    ],
)
def test_running_against_a_limit_is_an_end_with_a_name(attempt: str, confines: Confines, words: str) -> None:
    with pytest.raises(BadModelError, match=words) as refusal:
        outcome(attempt, "", confines)
    assert refusal.value.reason == contract.REASON_NOT_A_MODEL
