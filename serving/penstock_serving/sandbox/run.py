"""Opening what nobody vouches for: in a process of its own, without network, credentials, programs or writing.

The child is a fresh interpreter with an empty environment. It gets bytes through a pipe, and gives bytes back. Before it
looks at them it has limits (address space, processor seconds, no files written), a seccomp filter that allows it neither
sockets nor programs nor processes, and, where the kernel has Landlock, a view of the file system of nothing but programs
and libraries. What comes back is as trustworthy as the artifact; it is data, and is checked as such.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError
from penstock_serving.sandbox.child import REFUSAL, UNCONFINED
from penstock_serving.sandbox.parts import MalformedPartsError, Parts, read_parts, write_parts

_SAID_BYTES = 2000
_GRACE_SECONDS = 5.0
_REASONS = frozenset(
    {
        contract.REASON_MISCONFIGURED,
        contract.REASON_NOT_A_MODEL,
        contract.REASON_NOT_PINNED,
        contract.REASON_VERSION_MISMATCH,
        contract.REASON_SELF_TEST_FAILED,
        contract.REASON_TOO_LARGE,
        contract.REASON_FORBIDDEN,
    }
)


@dataclass(frozen=True, slots=True)
class Confines:
    """What the child may use: address space in bytes, processor and wall seconds, bytes of its answer."""

    memory_bytes: int = 8 << 30
    cpu_seconds: int = 600
    wall_seconds: float = 900.0
    answer_bytes: int = 2 << 30


@dataclass(slots=True)
class _Words:
    """The beginning of what the child says on stderr; the rest is read and forgotten, so that it never waits."""

    said: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, stream: IO[bytes]) -> None:
        while chunk := stream.read(4096):
            with self._lock:
                self.said = (self.said + chunk)[-_SAID_BYTES:]

    def text(self) -> str:
        """The last line, printable."""
        lines = self.said.decode(errors="replace").strip().splitlines()
        return "".join(c if c.isprintable() else "?" for c in lines[-1])[:300] if lines else ""


def run(module: str, parts: Parts, confines: Confines = Confines(), paths: Sequence[str] = ()) -> dict[str, bytes]:
    """Hand `parts` to `module.work` in a confined process and return its answer.

    `paths` are folders of modules that the artifact needs (they can be read, and imported from, in the child).

    Raises `BadModelError`: what the work itself refused, an artifact that ends the process, runs against its limits or
    gives back no data; `UnconfinedError` is told as Misconfigured, and nothing was opened then.
    """
    command = [sys.executable, "-P", "-m", "penstock_serving.sandbox.child"]
    limits = [str(confines.memory_bytes), str(confines.cpu_seconds), module]
    words = _Words()
    with subprocess.Popen(  # noqa: S603  (our own interpreter)
        [*command, *limits],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(paths),
        cwd="/",
        close_fds=True,
        start_new_session=True,
    ) as process:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise BrokenPipeError("the sandbox has no pipes")
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        alarm = threading.Timer(confines.wall_seconds, end)
        alarm.daemon = True
        alarm.start()
        said = threading.Thread(target=words.take, args=(process.stderr,), daemon=True)
        said.start()
        sender = threading.Thread(target=_send, args=(process.stdin, parts), daemon=True)
        sender.start()
        try:
            answer = read_parts(process.stdout, confines.answer_bytes)
        except MalformedPartsError as error:
            status = _end(process)
            said.join()
            if late.is_set():
                raise _late(confines.wall_seconds) from error
            raise _fault(status, words.text(), str(error)) from error
        finally:
            process.kill()
            alarm.cancel()
            sender.join()
            said.join()
    if REFUSAL in answer:
        raise _refused(answer[REFUSAL])
    return answer


def _end(process: subprocess.Popen[bytes]) -> int:
    """How the child ended: by itself if it was about to, else by force."""
    try:
        return process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _environment(paths: Sequence[str]) -> dict[str, str]:
    environment = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "JOBLIB_MULTIPROCESSING": "0"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return environment | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})


def _send(stream: IO[bytes], parts: Parts) -> None:
    try:
        with stream:
            write_parts(stream, parts)
    except BrokenPipeError:
        return  # the child ended before it had read all; why is told by its end


def _refused(content: bytes) -> BadModelError:
    """The refusal that the child tells of; its words are those of a process that may be hostile by now."""
    try:
        refusal = json.loads(content)
        reason, message = refusal["reason"], refusal["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        reason, message = contract.REASON_NOT_A_MODEL, "the model was refused in the sandbox"
    known = reason if reason in _REASONS else contract.REASON_NOT_A_MODEL
    return BadModelError(known, "".join(c if c.isprintable() else "?" for c in str(message))[:1000])


def _late(seconds: float) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"the model's sandbox took longer than {seconds:g} s")


def _fault(status: int, said: str, why: str) -> BadModelError:
    last = f"; its last words: {said}" if said else ""
    if status == UNCONFINED:
        return BadModelError(
            contract.REASON_MISCONFIGURED, f"this machine cannot confine a process, so nothing was opened{last}"
        )
    if status == -signal.SIGXCPU:
        how = "used up its processor seconds"
    elif status < 0:
        how = f"was ended by {signal.Signals(-status).name} (its limits of time and memory, or a crash)"
    else:
        how = f"ended with status {status}" if status else f"gave back no data ({why})"
    return BadModelError(contract.REASON_NOT_A_MODEL, f"the model's sandbox {how}{last}")
