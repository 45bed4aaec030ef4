"""Heads of answers, written once: what differs from answer to answer is the date and the length."""

from http import HTTPStatus
from typing import Final

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = tuple[tuple[str, str], ...]


class Heads:
    """Status lines with headers as bytes, by status and further headers; `common` are on every answer."""

    __slots__ = ("_common", "_written")

    def __init__(self, common: Headers) -> None:
        self._common = common
        self._written: dict[tuple[int, Headers], bytes] = {}

    def of(self, status: int, more: Headers = ()) -> bytes:
        """Everything of an answer's head but date, length and the wish to close.

        `more` must come from a small set: every one is kept. A header of `more` stands in for a common one.
        """
        head = self._written.get((status, more))
        if head is None:
            head = self._written[status, more] = self.write(status, more)
        return head

    def write(self, status: int, more: Headers) -> bytes:
        """The same, not kept: for headers with values of their own."""
        named = {name for name, _ in more}
        headers = (*(pair for pair in self._common if pair[0] not in named), *more)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
