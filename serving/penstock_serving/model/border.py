"""Reading a package's JSON strictly: every field is looked for, of the kind it must be, and no other is there."""

import json
import math
from typing import Any

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError


class Border:
    """The readers of one file's fields; each raises `BadModelError` (NotAModel) naming the file and the field."""

    def __init__(self, file: str) -> None:
        self._file = file

    def bad(self, where: str, expected: str) -> BadModelError:
        """The refusal of a field."""
        return BadModelError(
            contract.REASON_NOT_A_MODEL, f"{self._file}: {where} is not {expected}; package the model again"
        )

    def document(self, content: bytes, form: str, keys: set[str]) -> dict[str, Any]:
        """The whole file: an object of exactly these keys besides `format`, which is `form`."""
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.bad("the content", "JSON text") from error
        root = self.fields(found, "the content", {"format", *keys})
        if root["format"] != form:
            raise self.bad("format", repr(form))
        return root

    def fields(
        self, value: object, where: str, keys: set[str], optional: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """An object with exactly these keys, and perhaps the optional ones."""
        if not isinstance(value, dict) or set(value) - optional != keys:
            raise self.bad(where, f"an object with exactly {', '.join(sorted(keys))}")
        return value

    def items(self, value: object, where: str) -> list[object]:
        """A list."""
        if not isinstance(value, list):
            raise self.bad(where, "a list")
        return value

    def text(self, value: object, where: str) -> str:
        """A text."""
        if not isinstance(value, str):
            raise self.bad(where, "text")
        return value

    def flag(self, value: object, where: str) -> bool:
        """A truth value."""
        if not isinstance(value, bool):
            raise self.bad(where, "true or false")
        return value

    def number(self, value: object, where: str) -> float:
        """A finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.bad(where, "a finite number")
        return float(value)

    def whole(self, value: object, where: str) -> int:
        """A whole number from 0."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.bad(where, "a whole number from 0")
        return value


def written(document: dict[str, Any]) -> bytes:
    """A document as the text of a file of a package."""
    return (json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
