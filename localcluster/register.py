"""Which nodes stand on this machine, and what they changed of it.

Kept in RECORDS: one file per node, named by its number, and what to write where once the last of them is gone. A record
is written before the change that it tells of, so that a node killed at any moment can be cleared away.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from localcluster.errors import RefusalError
from localcluster.places import State

RECORDS = Path("/run/penstock-localcluster")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MOST_NODES = 32


def claim(state: State, *, usable: Callable[[int], bool]) -> int:
    """A number that no other node has and that is usable, registered for this state folder.

    Raises RefusalError when there is none.
    """
    with _held():
        for number in range(MOST_NODES):
            record = RECORDS / str(number)
            if not record.exists() and usable(number):
                record.write_text(json.dumps({"state": str(state.root), "boot": _boot()}))
                return number
    raise RefusalError(f"all {MOST_NODES} node numbers are in use on this machine; end another node with `down` first")


def claimed(state: State) -> list[int]:
    """The numbers registered for this state folder."""
    return [number for number, owner in _registered().items() if owner.get("state") == str(state.root)]


def owners() -> list[State]:
    """The state folders of all registered nodes."""
    return [State(Path(owner["state"])) for owner in _registered().values() if "state" in owner]


def release(number: int) -> None:
    """Forgets a node whose traces are gone; after the last one the machine's settings are as they were."""
    with _held():
        (RECORDS / str(number)).unlink(missing_ok=True)


def change(path: Path, value: str, *, restore: str) -> None:
    """Writes a setting of this machine; `restore` is written to it once no node needs it any more."""
    with _held():
        changes = [*_changes(), (str(path), restore)]
        _write(RECORDS / "changes.json", {"boot": _boot(), "changes": changes})
        path.write_text(value)


@contextmanager
def _held() -> Iterator[None]:
    """Holds the register and tidies it; the lock is on its parent folder, because the register comes and goes."""
    descriptor = os.open(RECORDS.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        RECORDS.mkdir(exist_ok=True)
        for number, owner in _registered().items():
            if owner.get("boot") != _boot():  # nothing outlives a boot
                (RECORDS / str(number)).unlink()
        yield
        if not _registered():
            for path, restore in reversed(_changes()):
                with suppress(OSError):  # another program has come to need the setting, and the kernel says no
                    Path(path).write_text(restore)
            shutil.rmtree(RECORDS)
    finally:
        os.close(descriptor)


def _registered() -> dict[int, dict[str, str]]:
    found = {}
    for path in RECORDS.glob("[0-9]*"):
        try:
            found[int(path.name)] = json.loads(path.read_text())
        except (OSError, ValueError):  # a run killed while it wrote this has done nothing else yet
            found[int(path.name)] = {}
    return found


def _changes() -> list[tuple[str, str]]:
    try:
        known = json.loads((RECORDS / "changes.json").read_text())
    except FileNotFoundError:
        return []
    return [(path, restore) for path, restore in known["changes"]] if known["boot"] == _boot() else []


def _write(path: Path, content: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def _boot() -> str:
    return BOOT_ID.read_text().strip()
