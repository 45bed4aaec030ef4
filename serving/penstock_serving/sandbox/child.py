"""`python -m penstock_serving.sandbox.child MEMORY_BYTES CPU_SECONDS MODULE`: the confined side of the sandbox.

Reads its parts, confines itself, and only then imports `MODULE` and hands the parts to its `work(parts)`. What that
returns goes back through the pipe. Written for an empty interpreter: nothing of the parent's memory, variables or open
files is here.
"""

import importlib
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from penstock_serving.model.errors import ModelError
from penstock_serving.sandbox.kernel import UnconfinedError, install, read_only_view
from penstock_serving.sandbox.parts import Parts, read_parts, write_parts
from penstock_serving.sandbox.policies import child

UNCONFINED = 70
REFUSAL = "refusal"
_MOST_BYTES = 16 << 30
_READABLE = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/sys/devices/system/cpu", "/proc/self", "/proc/cpuinfo")
_OPEN_FILES = 256
_GRACE_SECONDS = 2  # from the signal that can be caught to the one that cannot


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """Take from this process everything but computing, and reading where programs and libraries are.

    Raises `UnconfinedError` where this machine cannot do that; the artifact is then not opened at all.
    """
    os.closerange(3, 1 << 16)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + _GRACE_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    read_only_view(Path(path) for path in (*_READABLE, sys.prefix, sys.base_prefix, *filter(None, sys.path)))
    install(child(os.getpid()))


def answer(work: Callable[[Parts], Parts], parts: Parts) -> Parts:
    """What the work returns, or why the model was refused, as data."""
    try:
        return work(parts)
    except ModelError as error:
        refused = {"reason": error.reason, "message": error.message}
        return {REFUSAL: json.dumps(refused).encode()}


def main(arguments: list[str]) -> int:
    """Serve one request; the parent reads the exit code."""
    memory_bytes, cpu_seconds, module = int(arguments[0]), int(arguments[1]), arguments[2]
    parts = read_parts(sys.stdin.buffer, _MOST_BYTES)
    try:
        confine(memory_bytes, cpu_seconds)
    except UnconfinedError as error:
        os.write(2, str(error).encode())
        return UNCONFINED
    work: Callable[[Parts], Parts] = importlib.import_module(module).work
    answering = sys.stdout.buffer
    sys.stdout = sys.stderr  # what an artifact prints is no answer
    write_parts(answering, answer(work, parts))
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    # nothing that an artifact has put aside for the interpreter's end runs any more
    os._exit(status)
