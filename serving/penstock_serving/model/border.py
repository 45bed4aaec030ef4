"""Reading a package's JSON strictly: every field is looked for, of the kind it must be, and no other is there."""

import json
import math
from typing import Any

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError


class Border:
    """The readers of one file's fields; each raises `BadModelError` naming the file, the field and the `remedy`."""

    def __init__(
        self, file: str, reason: str = contract.REASON_NOT_A_MODEL, remedy: str = "package the model again"
    ) -> None:
        self._file, self._reason, self._remedy = file, reason, remedy

    def bad(self, where: str, expected: str) -> BadModelError:
        """The refusal of a field."""
        return BadModelError(self._reason, f"{self._file}: {where} is not {expected}; {self._remedy}")

    def parsed(self, content: bytes | str) -> object:
        """The whole file, whatever it holds."""
        try:
            found: object = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self.bad("the content", "JSON text") from error
        return found

    def document(
        self, content: bytes, form: str, keys: set[str], optional: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """The whole file: an object of exactly these keys, and perhaps the optional ones, besides `format`: `form`."""
        root = self.fields(self.parsed(content), "the content", {"format", *keys}, optional)
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

    def items(self, value: object, where: str) -> list[Any]:
        """A list."""
        if not isinstance(value, list):
            raise self.bad(where, "a list")
        return value

    def text(self, value: object, where: str, longest: int | None = None) -> str:
        """A text, of at most so many characters."""
        if not isinstance(value, str):
            raise self.bad(where, "text")
        if longest is not None and len(value) > longest:
            raise self.bad(where, f"a text of at most {longest} characters")
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

    def whole(self, value: object, where: str, most: int | None = None) -> int:
        """A whole number from 0, up to `most`."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.bad(where, "a whole number from 0")
        if most is not None and value > most:
            raise self.bad(where, f"a whole number up to {most}")
        return value


def written(document: dict[str, Any]) -> bytes:
    """A document as the text of a file of a package."""
    return (json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
