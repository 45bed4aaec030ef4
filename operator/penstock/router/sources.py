"""Where the routing table comes from."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

_LOOK_EVERY = 0.02


class Source(Protocol):
    """Gives the table's JSON text, at once and after every change; it never ends by itself."""

    def tables(self) -> AsyncIterator[str]:
        """Texts, newest last. What cannot be read for now is waited for; the last text stays in force."""
        ...


class FileSource:
    """A file that somebody replaces by renaming: the bench's table, or a mounted ConfigMap's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def tables(self) -> AsyncIterator[str]:
        """The file's text each time that it is another file or was written to."""
        seen: tuple[int, int, int] | None = None
        while True:
            try:
                stat = self._path.stat()
                identity = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if identity != seen:
                    text = self._path.read_text(encoding="utf-8", errors="replace")
                    seen = identity
                    yield text
            except OSError:
                seen = None
            await asyncio.sleep(_LOOK_EVERY)
