"""Notices a watch that has gone deaf: what was read live must be heard of soon.

Every live read tells the newest version of a kind's objects. If the watch of that kind is well, it tells of that version
or a later one within moments. Versions are compared as numbers, which the API server documents (comparable resource
versions, KEP-5504) and its store has always done.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Hearing:
    """By kind: the newest version heard of, and the oldest one read but not heard of, with when it was read."""

    heard: dict[str, int] = field(default_factory=dict)
    unheard: dict[str, tuple[int, float]] = field(default_factory=dict)

    def tell(self, kind: str, version: str) -> None:
        """The watch told of an object with this resourceVersion."""
        number = _number(version)
        if number > self.heard.get(kind, -1):
            self.heard[kind] = number
        pending = self.unheard.get(kind)
        if pending is not None and pending[0] <= self.heard.get(kind, -1):
            del self.unheard[kind]

    def read(self, kind: str, version: str, now: float) -> None:
        """A live read returned an object with this resourceVersion."""
        number = _number(version)
        if number > self.heard.get(kind, -1):
            self.unheard.setdefault(kind, (number, now))

    def deaf(self, now: float) -> dict[str, float]:
        """For how many seconds each kind's watch has been silent about something that is known to be there."""
        return {kind: now - since for kind, (_, since) in self.unheard.items()}


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else -1
