"""What hostile code would try; each attempt says what became of it. Run in the sandbox by its module name."""

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path


def reach_out(target: str) -> None:
    with socket.create_connection(("127.0.0.1", int(target)), timeout=5) as connection:
        connection.sendall(b"stolen")


def speak_to_a_local_daemon(target: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(target)


def run_a_program(target: str) -> None:
    subprocess.run(["/bin/touch", target], check=True)


def run_a_shell(target: str) -> None:
    if os.system(f"touch {target}") != 0:
        raise PermissionError(errno.EPERM, "no shell")


def fork(target: str) -> None:
    if os.fork() == 0:
        os._exit(0)


def write_a_file(target: str) -> None:
    Path(target).write_text("ran")


def append_to_a_file(target: str) -> None:
    with Path(target).open("a") as out:
        out.write("ran")


def write_an_unnamed_file(target: str) -> None:
    os.open(str(Path(target).parent), os.O_TMPFILE | os.O_WRONLY)


def make_a_folder(target: str) -> None:
    Path(target).mkdir()


def remove_a_file(target: str) -> None:
    Path(target).unlink()


def read_a_secret(target: str) -> None:
    Path(target).read_text()


def raise_its_limits(target: str) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    except ValueError as error:
        raise PermissionError(errno.EPERM, "limits stay") from error


def kill_its_parent(target: str) -> None:
    os.kill(os.getppid(), signal.SIGUSR1)


def trace_its_parent(target: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def an_unknown_system_call(target: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(425, 8, 0) < 0:  # io_uring_setup: a way past every other rule
        raise OSError(ctypes.get_errno(), "io_uring_setup")


def drop_the_filter(target: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def look_at_variables(target: str) -> None:
    if target in os.environ:
        return
    raise PermissionError(errno.EPERM, "no such variable")


def use_an_inherited_file(target: str) -> None:
    os.read(int(target), 1)


def start_a_thread(target: str) -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def compute(target: str) -> None:
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rows = np.random.default_rng(0).normal(size=(200, 4))
    RandomForestClassifier(5, n_jobs=2).fit(rows, rows[:, 0] > 0).predict_proba(rows)


def fill_memory(target: str) -> None:
    held = [bytes(1 << 30) for _ in range(100)]
    print(len(held))


def spin(target: str) -> None:
    while True:
        pass


def crash(target: str) -> None:
    ctypes.string_at(0)


def chatter(target: str) -> None:
    for _ in range(20_000):
        print("noise " * 20)
        sys.stderr.write("noise " * 20)


ATTEMPTS: dict[str, Callable[[str], None]] = {
    attempt.__name__.replace("_", " "): attempt
    for attempt in (
        reach_out,
        speak_to_a_local_daemon,
        run_a_program,
        run_a_shell,
        fork,
        write_a_file,
        append_to_a_file,
        write_an_unnamed_file,
        make_a_folder,
        remove_a_file,
        read_a_secret,
        raise_its_limits,
        kill_its_parent,
        trace_its_parent,
        an_unknown_system_call,
        drop_the_filter,
        look_at_variables,
        use_an_inherited_file,
        start_a_thread,
        compute,
        fill_memory,
        spin,
        crash,
        chatter,
    )
}


def work(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Try one thing; `refused: <errno>` or `done`."""
    try:
        ATTEMPTS[parts["attempt"].decode()](parts["target"].decode())
    except OSError as error:
        return {"outcome": f"refused: {errno.errorcode[error.errno or 0]}".encode()}
    return {"outcome": b"done"}
