"""The supervisor's word in the counters' memory. Standard library only: the supervisor stays small."""

import mmap
import os

HEADER_BYTES = 4096
RESTARTS = 0


class RestartCounter:
    """Counts restarts in the first word of the memory behind a file descriptor."""

    def __init__(self, handle: int) -> None:
        os.ftruncate(handle, HEADER_BYTES)
        self._words = memoryview(mmap.mmap(handle, HEADER_BYTES)).cast("q")

    def add(self) -> None:
        """Count one restart."""
        self._words[RESTARTS] += 1
