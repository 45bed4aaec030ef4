"""A serving process that must unpickle puts itself under a filter first.

It cannot go where the sandbox goes: it has to listen and to answer. What it loses is calling out (TCP or UDP), starting
programs and processes, writing and changing files, and every privilege that a later system call could bring. What a
hostile pickle keeps: the memory of this process, so its answers; reading files that the container's user can read; using
up the container's processor time and memory; and having the one program started that explains models, which knows no
other work and confines itself the same way before it unpickles.
"""

import contextlib
import os

from penstock_serving.sandbox.kernel import UnconfinedError, install
from penstock_serving.sandbox.policies import NO_IO_URING, server


def prepare() -> None:
    """Keep this process from what it must not have begun when it is confined; to be called before its event loop is made.

    An io_uring is a way past every filter of system calls, and libuv makes one wherever the kernel lets it (under a
    container runtime's default profile it does not). joblib would ask for semaphores, which are files; without them its
    parallel calls are serial.
    """
    os.environ["JOBLIB_MULTIPROCESSING"] = "0"
    with contextlib.suppress(UnconfinedError):  # confining will say so
        install(NO_IO_URING)


def confine() -> None:
    """Confine this process, all of its threads, for good; where the machine cannot, say so on stderr and go on.

    It goes on because the digest that was pinned is what unpickling rests on; this is the second line.
    """
    try:
        install(server(os.getpid()))
    except UnconfinedError as error:
        os.write(2, f"unpickling without a filter of system calls: {error}\n".encode())
