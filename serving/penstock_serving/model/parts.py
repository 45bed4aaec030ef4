"""What a fitted model is put together of."""

from collections.abc import Iterator
from typing import Any


def parts(model: Any) -> Iterator[Any]:
    """The model, its steps, and theirs."""
    waiting, seen = [model], set[int]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
        elif hasattr(part, "get_params") and hasattr(part, "__dict__") and id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += vars(part).values()
