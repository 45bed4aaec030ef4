"""One command at a time on one cluster: a lock on its folder, which ends with the process that holds it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.progress import Part, Progress


@contextmanager
def exclusive(folder: Path, *, progress: Progress) -> Iterator[None]:
    """Makes the folder if need be and holds it; waits while another command does. The holder may remove the folder."""
    descriptor = _held(folder, progress=progress)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def only_one(lock: Path, *, progress: Progress, doing: str) -> Iterator[None]:
    """Holds a lock file; waits while another process holds it."""
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(Part(f"wait for another run that makes {doing}", 0)) as step:
                _wait_for(handle.fileno(), step.tick)
        yield


def _wait_for(descriptor: int, idle: Callable[[], None]) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.2)
            idle()


def is_held(folder: Path) -> bool:
    """Whether a command works on the folder now."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _held(folder: Path, *, progress: Progress) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note(f"waiting for another command{_holder(descriptor)} that works on the cluster in {folder}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _still_there(folder, descriptor):
            return descriptor
        os.close(descriptor)  # the former holder removed the folder


def _still_there(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    inode = f":{os.fstat(descriptor).st_ino}"
    for text in Path("/proc/locks").read_text().splitlines():
        fields = text.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(inode):
            return f" (process {fields[4]})"
    return ""
