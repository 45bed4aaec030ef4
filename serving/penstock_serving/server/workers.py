"""Several workers in one container: processes that share the port, and a first process that starts and replaces them.

They are forked from a process that has imported what serving needs and has no other thread, so that what is imported is
in memory once. Each opens the model itself: nothing of it is ever in the first process, which never unpickles.

A worker that dies is replaced. Until one has been ready, the first death ends the container with its exit code, so that
Kubernetes and the operator learn of a model that cannot be served; later, five deaths within a minute do.
"""

import contextlib
import ctypes
import gc
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from penstock_serving.backoff import Backoff
from penstock_serving.model.files import GRAPH_FILE, ONNX_FILE, SIGNATURE_FILE
from penstock_serving.model.libraries import import_pandas, import_scikit_learn
from penstock_serving.server.shared import Shared

_PR_SET_PDEATHSIG = 1
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_MOST_DEATHS = 5
_DEATHS_SECONDS = 60.0
_BACKOFF = Backoff(first=0.05, most=5.0)


@dataclass(slots=True)
class _Slot:
    """A worker's place: its process (0: none), when the next is started, and the pause after another early death."""

    process: int = 0
    due: float = 0.0
    pause: float = _BACKOFF.first
    began: float = 0.0


@dataclass(slots=True)
class Workers:
    """Runs `work(slot)`, which returns an exit code, in one process per slot of `shared`."""

    shared: Shared
    work: Callable[[int], int]
    _slots: list[_Slot] = field(init=False)
    _deaths: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_DEATHS))
    _stopping: bool = False
    _code: int = 0

    def __post_init__(self) -> None:
        self._slots = [_Slot() for _ in range(self.shared.workers)]

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, which every worker gets; return the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.freeze()
        while True:
            now = time.monotonic()
            for number, slot in enumerate(self._slots):
                if not slot.process and not self._stopping and slot.due <= now:
                    self._start(number, slot, now)
            if self._stopping and not any(slot.process for slot in self._slots):
                return self._code
            due = min((slot.due - now for slot in self._slots if not slot.process), default=_DEATHS_SECONDS)
            found = signal.sigtimedwait(_SIGNALS, max(0.0, due) if not self._stopping else _DEATHS_SECONDS)
            if found is not None and found.si_signo != signal.SIGCHLD:
                self._stop(signal.Signals(found.si_signo), 0)
            self._reap()

    def _start(self, number: int, slot: _Slot, now: float) -> None:
        parent = os.getpid()
        process = os.fork()
        if process:
            slot.process, slot.began = process, now
            return
        code = 1
        try:
            _end_with(parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self.work(number)
        except BaseException:  # noqa: BLE001  (nobody else is there to say it)
            traceback.print_exc()
        finally:
            # As a single server ends: a regular exit would wait for native code that a predict thread may be stuck in.
            os._exit(code)

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            for number, slot in enumerate(self._slots):
                if slot.process == process:
                    self._died(number, slot, os.waitstatus_to_exitcode(status))

    def _died(self, number: int, slot: _Slot, code: int) -> None:
        now = time.monotonic()
        slot.process = 0
        if self._stopping:
            return
        self._deaths.append(now)
        often = len(self._deaths) == _MOST_DEATHS and now - self._deaths[0] < _DEATHS_SECONDS
        if often or not self.shared.ever_ready:
            _say(f"worker {number} ended with {code}" + (f", the {_MOST_DEATHS}th within a minute" if often else ""))
            self._stop(signal.SIGTERM, code if code > 0 else 128 - code)
            return
        self.shared.replace()
        slot.pause = _BACKOFF.next(slot.pause, now - slot.began)
        slot.due = now + slot.pause
        _say(f"worker {number} ended with {code}; another takes its place")

    def _stop(self, number: signal.Signals, code: int) -> None:
        self._code = self._code if self._stopping else code
        self._stopping = True
        for slot in self._slots:
            if slot.process:
                os.kill(slot.process, number)


def is_graph(directory: Path) -> bool:
    """Whether the package's model is likely to be computed by ONNX Runtime, so not unpickled."""
    return (directory / ONNX_FILE).exists() or (directory / GRAPH_FILE).exists()


def import_backend(directory: Path) -> None:
    """Import what is likely to compute the package's model, so that workers need not each."""
    if is_graph(directory):
        import_module("onnxruntime")
        return
    with contextlib.suppress(OSError, ImportError):
        # Unverified, and so only a guess: who loads the model reads it properly.
        framed = b'"asked": "frame"' in (directory / SIGNATURE_FILE).read_bytes()
        (import_pandas if framed else import_scikit_learn)()


def _end_with(parent: int) -> None:
    """Let the kernel stop this process when its parent is gone, however it went."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _say(text: str) -> None:
    os.write(2, f"server: {text}\n".encode())
