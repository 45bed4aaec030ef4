"""Handing filters and rules about files to the kernel; once handed over, nothing in the process can take them back."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from penstock_serving.sandbox.bpf import Filter, assemble
from penstock_serving.sandbox.syscalls import machine

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_DUMPABLE = 4
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1  # every thread of the process, not this one alone
_SECCOMP = {0xC000003E: 317, 0xC00000B7: 277}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_LANDLOCK_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_EVERY_RIGHT = (1 << 13) - 1  # those of Landlock's first version: every kernel with Landlock knows them


class UnconfinedError(Exception):
    """This machine cannot confine a process; says why."""


def _syscall(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = (ctypes.c_long(value) if isinstance(value, int) else value for value in (number, *arguments))
    result = int(libc.syscall(*words))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def renounce_privileges() -> None:
    """Let no program started from here gain privileges: what the kernel asks for before it takes a filter."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise UnconfinedError(f"no_new_privs was refused: {os.strerror(ctypes.get_errno())}")


def hide() -> None:
    """Keep other processes of this user from this one's memory and variables, which may hold credentials."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def install(wanted: Filter) -> None:
    """Put every thread of this process under a seccomp filter; needs no privilege.

    Raises `UnconfinedError` on an unknown architecture or where the kernel refuses.
    """
    here = machine()
    if here is None:
        raise UnconfinedError(f"the system calls of {os.uname().machine} are not known here")
    renounce_privileges()
    program = assemble(wanted, here)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    try:
        left_out = _syscall(_SECCOMP[here.audit], _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, header)
    except OSError as error:
        raise UnconfinedError(f"the kernel takes no seccomp filter: {error.strerror}") from error
    if left_out:
        raise UnconfinedError("a thread of this process could not be put under the filter")


def read_only_view(paths: Iterable[Path]) -> bool:
    """Leave this thread, and those it starts, nothing of the file system but reading below `paths`.

    Returns False, and changes nothing, where the kernel has no Landlock (before 5.13, or switched off).
    """
    try:
        ruleset = _syscall(_LANDLOCK_CREATE, struct.pack("=Q", _EVERY_RIGHT), 8, 0)
    except OSError:
        return False
    renounce_privileges()
    for path in paths:
        _allow_reading(ruleset, path)
    _syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return True


def _allow_reading(ruleset: int, path: Path) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be allowed
    rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
    _syscall(_LANDLOCK_ADD, ruleset, _LANDLOCK_PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
    os.close(handle)
