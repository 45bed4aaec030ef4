"""One request on its way to the model and back."""

import abc
import asyncio

from penstock_serving.protocol.call import Call
from penstock_serving.server.engine import Computed


class Task(abc.ABC):
    """What the dispatcher runs: `read` and `write` on a predict thread, `finish` on the event loop, once.

    `size` is what there is to read, in bytes; `arrived` and `deadline` are monotonic seconds; `over` says that `finish`
    was called or that nobody waits; `error` is what went wrong.
    """

    __slots__ = ("arrived", "deadline", "error", "over", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.arrived = self.deadline = 0.0
        self.over = False
        self.error: BaseException | None = None

    def wanted(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self.over

    @abc.abstractmethod
    def read(self) -> Call:
        """Read and check the request; raises `RequestError`."""

    @abc.abstractmethod
    def write(self, call: Call, computed: Computed) -> None:
        """Make the answer and keep it for `finish`; raises `RequestError`."""

    @abc.abstractmethod
    def finish(self) -> None:
        """Hand over the answer, or the error; there is neither where nobody waited any more."""


class CallTask(Task):
    """A call that was read elsewhere; its outputs come as a future."""

    __slots__ = ("_call", "_computed", "future")

    def __init__(self, call: Call) -> None:
        super().__init__(call.matrix.nbytes)
        self._call = call
        self._computed: Computed | None = None
        self.future: asyncio.Future[Computed] = asyncio.get_running_loop().create_future()

    def wanted(self) -> bool:
        """Whether the future is still awaited."""
        return not self.over and not self.future.done()

    def read(self) -> Call:
        """The call."""
        return self._call

    def write(self, call: Call, computed: Computed) -> None:  # noqa: ARG002
        """Keep the outputs."""
        self._computed = computed

    def finish(self) -> None:
        """Resolve the future."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        elif self._computed is not None:
            self.future.set_result(self._computed)
